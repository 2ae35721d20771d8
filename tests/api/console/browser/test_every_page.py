"""Every page of the console in Chromium: axe, the width, and nothing that the policy forbids; in both themes, at three
widths, with and without script.

The pages are the routes' own, so that a new one is looked at too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from console_browser import Theme, axe, loaded_bytes, open_page, screenshot, show, sideways_pixels
from console_routes import paths
from console_service import SITE, TIMEOUT_S, Console, console_service
from playwright.sync_api import Browser, Page
from serving import PHOTOS, photo

THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (360, 800, 1600)
BETWEEN = (520, 660, 958, 962, 1100)
"""Where a table or the menu changes its form, or nearly does."""
MAX_FIRST_PAINT_BYTES = 100_000
QUERIES = {
    "/console/person": "?id=ada",
    "/console/person/merge": "?id=ada&into=joe",
    "/console/enrol": "?id=ada",
    "/console/people": "?q=a",
}
"""Of pages that show nothing without one, or more with one."""
FURTHER = {
    "person-merge-search": "/console/person/merge?id=ada",
    "people-all": "/console/people",
    "people-nobody": "/console/people?q=no-such-name",
    "another-collection": f"/console/people?collection={SITE}",
    "enrol-new": "/console/enrol",
    "not-found": "/console/no-such-page",
    "unprocessable": "/console/person?id=nobody",
}
NO_PAGES = (
    "/console/decisions/events",  # a stream
    "/console/thumbnail",  # a picture
    "/console/trail/export",  # a file
    "/console/health/measured",  # for a module: whether it is done
    "/console/trail/checked",
)
PAGES = {
    path.removeprefix("/console").strip("/").replace("/", "-") or "overview": path
    for path in paths("GET")
    if path not in NO_PAGES
}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """With people, decisions and a trail, so that the pages have something to show."""
    settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_TRAIL": "1", "FACE128_REVIEW_ALPHA": "0.2"}
    with console_service(**settings) as console:
        console.enrol("ada", "obama-2009.jpg", "obama-2012.jpg", name="Ada Lovelace-Featherstonehaugh of Ockham")
        console.enrol("joe", "biden-2010.jpg", name="Joe")
        console.enrol("grace", "hopper-1984.jpg", name="Grace Hopper")
        with console.api() as api:
            for name in ("obama-2010.jpg", "biden-2010.jpg", "hopper-1984.jpg"):
                assert api.post("/match_face?explain=true", files={"image": photo(name)}).status_code == 200
        wait_until_measured(console)
        yield console


def wait_until_measured(console: Console) -> None:
    """Pages that tell of it load themselves again once it is done."""
    deadline = time.monotonic() + TIMEOUT_S
    with console.client() as client:
        for path in ("/console/health", "/console/trail", "/console/threshold"):
            while re.search("data-measuring|data-comparing", client.get(path).text):
                assert time.monotonic() < deadline, path
                time.sleep(0.2)


@pytest.fixture(scope="module")
def watched(browser: Browser, console: Console) -> Iterator[Page]:
    """One page for all tests: its problems are those of the whole file."""
    with open_page(browser, console) as page:
        yield page


def check(page: Page, name: str) -> None:
    """As it is now, in both themes and at each width."""
    problems = []
    for theme in THEMES:
        for width in WIDTHS:
            show(page, width, theme)
            screenshot(page, f"{name}-{width}-{theme}")
            problems += [f"{width}, {theme}: {found}" for found in axe(page)]
            if sideways := sideways_pixels(page):
                problems.append(f"{width}, {theme}: {sideways} pixels too wide")
    for width in BETWEEN:
        show(page, width)
        if sideways := sideways_pixels(page):
            problems.append(f"{width}: {sideways} pixels too wide")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", PAGES)
def test_a_page(watched: Page, name: str) -> None:
    path = PAGES[name]
    answer = watched.goto(path + QUERIES.get(path, ""))
    assert answer is not None
    assert answer.status == 200
    assert watched.locator("h1").count() == 1
    sizes = loaded_bytes(watched)
    assert len(sizes) >= 3  # the page, its style, a module
    assert sum(sizes.values()) < MAX_FIRST_PAINT_BYTES, sizes
    check(watched, name)


@pytest.mark.parametrize("name", FURTHER)
def test_a_page_with_another_query(watched: Page, name: str) -> None:
    watched.goto(FURTHER[name])
    check(watched, name)


def test_the_form_to_sign_in_and_what_it_says_of_a_wrong_key(browser: Browser, console: Console) -> None:
    with open_page(browser, console, key=None) as page:
        page.goto("/console/people")
        assert page.url.endswith("/console/sign-in?next=people")
        check(page, "sign-in")
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        check(page, "sign-in-wrong")


def test_a_page_that_the_key_does_not_open(browser: Browser, console: Console) -> None:
    with open_page(browser, console, "match") as page:
        page.goto("/console/people")
        check(page, "forbidden")


def test_the_answer_to_a_photo(watched: Page) -> None:
    watched.goto("/console/try")
    watched.locator("input[type=file]").first.set_input_files(PHOTOS / "obama-2010.jpg")
    watched.get_by_role("button", name="Try", exact=False).first.click()
    watched.wait_for_load_state()
    check(watched, "try-answer")


def test_a_dialog_that_asks(watched: Page) -> None:
    watched.goto("/console/person?id=ada")
    watched.get_by_role("button", name="Erase").last.click()
    assert watched.locator("dialog[open]").count() == 1
    check(watched, "person-dialog")
    watched.keyboard.press("Escape")
    assert watched.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("language", ["de"])
def test_no_page_is_too_wide_in_the_other_language(browser: Browser, console: Console, language: str) -> None:
    with open_page(browser, console, language=language) as page:
        for name, path in PAGES.items():
            page.goto(path + QUERIES.get(path, ""))
            show(page, WIDTHS[0])
            screenshot(page, f"{name}-{WIDTHS[0]}-{language}")
            assert sideways_pixels(page) == 0, path


def test_every_page_is_whole_without_script(browser: Browser, console: Console) -> None:
    with open_page(browser, console, script=False) as page:
        for path in PAGES.values():
            page.goto(path + QUERIES.get(path, ""))
            assert page.locator("h1").count() == 1
            for form in page.locator("main form").all():
                assert form.locator("button:not([type=button])").count() >= 1, path
