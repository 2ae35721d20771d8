"""Texts that try to become more than text, in Chromium: nothing runs, nothing is asked for elsewhere, and the browser's
own tree of each page has the elements and attributes that it has with harmless texts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from console_browser import Watch
from console_service import Console
from hostile_gallery import ALBUMS, TEXTS, hostile_console
from payloads import PAYLOADS
from playwright.sync_api import Browser, Dialog, Page, expect

TREE = """(document) => [...document.querySelectorAll('*')].map(
  (element) => [element.localName, ...[...element.attributes].map((each) => each.name).sort()].join(' '))"""
OF_MANY = """async ([collection, ids]) => {
  const tree = TREE, parser = new DOMParser(), found = [];
  for (const id of ids) {
    const address = `person?${new URLSearchParams({ collection, id })}`;
    const page = parser.parseFromString(await (await fetch(address)).text(), 'text/html');
    found.push([page.querySelector('h1').textContent.trim(), page.querySelector('#name').value, tree(page)]);
  }
  return found;
}""".replace("TREE", TREE)
TIMEOUT_S = 60
PARSED, VISITED = 2, 20
"""Every so many of the people whose page is parsed, and of those whose page is opened."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with hostile_console(tmp_path_factory.mktemp("gallery")) as console:
        yield console


class Trap:
    """What must not happen: a script of a payload that runs, a dialog, and what Watch finds."""

    def __init__(self, browser: Browser, console: Console) -> None:
        self.sprung: list[str] = []
        self.context = browser.new_context(base_url=console.url, locale="en-GB")
        self.context.expose_function("sprung", lambda: self.sprung.append("a payload has run"))
        self.context.add_init_script("Object.defineProperty(window, 'pwned', { set: () => { window.sprung(); } })")
        self.context.on("dialog", self._dismiss)
        self.watch = Watch(self.context, console.url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.sprung.append(f"a dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def trap(browser: Browser, console: Console) -> Iterator[Trap]:
    trap = Trap(browser, console)
    yield trap
    trap.context.close()


@pytest.fixture
def page(trap: Trap) -> Iterator[Page]:
    page = trap.context.new_page()
    yield page
    page.wait_for_load_state()
    assert not trap.sprung
    trap.watch.check()


def tree(page: Page) -> Counter[str]:
    return Counter(page.evaluate(f"() => ({TREE})(document)"))


def both(page: Page, path: str) -> None:
    """The page with harmless texts, and with the others: again, until what is measured meanwhile is there for both."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        trees = []
        for collection in TEXTS:
            page.goto(f"/console/{path}{'&' if '?' in path else '?'}collection={collection}")
            trees.append(tree(page))
        if trees[0] == trees[1] or time.monotonic() > deadline:
            break
    assert trees[0] == trees[1], path


@pytest.mark.parametrize("path", ["people", "decisions", "review"])
def test_lists(page: Page, path: str) -> None:
    page.goto(f"/console/{path}?collection=harmless")
    page.locator("a[rel=next]").click()  # neither the first nor the last one
    page.wait_for_load_state()
    harmless = tree(page)
    page.goto(f"/console/{path}?collection=hostile")
    number = 1
    while (following := page.locator("a[rel=next]")).count():
        assert number == 1 or tree(page) == harmless, number
        following.click()
        page.wait_for_load_state()
        number += 1
    assert number > 3


def test_metadata_and_what_is_about_all(page: Page) -> None:
    for album in ALBUMS:
        both(page, f"person?id={album}")
    both(page, "threshold")
    both(page, "health")
    expect(page.locator("[data-measuring]")).to_have_count(0)


def test_the_trap_sees_a_script_that_runs(trap: Trap) -> None:
    page = trap.context.new_page()
    page.goto("/console/people")
    page.evaluate("pwned = 1; alert(1)")
    assert trap.sprung == ["a payload has run", "a dialog: 1"]


def test_the_pages_of_all_people(page: Page) -> None:
    page.goto("/console/collections?collection=harmless")
    harmless = Counter(page.evaluate(OF_MANY, ["harmless", [TEXTS["harmless"][0]]])[0][2])
    hostile = TEXTS["hostile"][::PARSED]
    parsed = page.evaluate(OF_MANY, ["hostile", list(hostile)])
    for text, (heading, name, elements) in zip(hostile, parsed, strict=True):
        assert (heading, name) == (text, text)
        assert Counter(elements) == harmless, text
    for text in hostile[::VISITED]:
        page.goto("/console/people?collection=hostile")
        page.get_by_role("searchbox").fill(text)
        page.get_by_role("button", name="Search").click()
        page.locator("tbody th a").first.click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.get_by_role("button", name="Erase person").click()
        page.get_by_role("button", name="Cancel").click()


def test_names_of_files(page: Page) -> None:
    page.goto("/console/enrol")
    page.locator("#id").fill(PAYLOADS[0])
    page.locator("#name").fill(PAYLOADS[0])
    for text in PAYLOADS[::VISITED]:
        file = {"name": text.replace("\0", ""), "mimeType": "image/png", "buffer": b"no photo"}
        page.locator("#images").set_input_files([file])  # type: ignore[list-item]
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator("#main [role=alert]:visible").first).to_be_visible()
