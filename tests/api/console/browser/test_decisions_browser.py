"""The decisions and what is to be looked at again, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from console_browser import TIMEOUT_MS, open_page, screenshot, show, sideways_pixels
from console_service import Console, console_service
from playwright.sync_api import Browser, Page, expect
from serving import photo

from face128.gallery.gallery import Gallery
from face128.gallery.trail import decisions
from face128.gallery.trail.decisions import KeptDecision

expect.set_options(timeout=TIMEOUT_MS)
NAMES = {"44": "Barack Obama", "46": "Joe <img src=x onerror=alert(1)> Biden"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('browser')}/gallery.sqlite"


@pytest.fixture(scope="module")
def console(url: str) -> Iterator[Console]:
    """Two people, the first of whom was once at the door."""
    settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_DATABASE_URL": url, "FACE128_REVIEW_ALPHA": "0.1"}
    with console_service(workers=2, **settings) as console:
        console.enrol("44", "obama-2009.jpg", name=NAMES["44"])
        console.enrol("46", "biden-2010.jpg", name=NAMES["46"])
        match(console, "obama-2009.jpg")
        yield console


def match(console: Console, name: str) -> None:
    with console.api() as api:
        assert api.post("/match_face", files={"image": photo(name)}).status_code == 200


def keep(url: str, *made: KeptDecision, at: datetime | None = None) -> None:
    with closing(Gallery(url)) as gallery, gallery.database.writing() as connection:
        decisions.keep(connection, made, 40_000, at)  # from whatever day


def look_again(who: str, distance: float = 0.4) -> KeptDecision:
    return KeptDecision("search", who, distance, 0.05, "look_again", "cohort", "dlib-resnet-v1")


def test_a_decision_appears_without_reload_and_waits_while_paused(page: Page, console: Console) -> None:
    page.goto("/console/decisions")
    rows = page.locator("table.decisions tbody tr")
    count = rows.count()
    expect(page.get_by_text("New decisions appear by themselves.")).to_be_visible()
    match(console, "biden-2010.jpg")
    expect(rows).to_have_count(count + 1)
    expect(rows.first).to_contain_text(NAMES["46"])
    expect(rows.first).to_contain_text("recognised")
    expect(page.locator("[aria-live=polite]")).to_contain_text(NAMES["46"])
    assert "UTC" not in rows.first.locator("time").inner_text()  # the browser's own zone
    page.get_by_role("button", name="Pause").click()
    match(console, "hopper-1984.jpg")
    expect(page.get_by_text("Paused. New decisions that wait: 1")).to_be_visible()
    assert rows.count() == count + 1
    for width in (360, 1600):
        show(page, width, "dark")
        assert sideways_pixels(page) == 0
        screenshot(page, f"decisions-live-{width}-dark")
    page.get_by_role("button", name="Go on").click()
    expect(rows).to_have_count(count + 2)
    expect(rows.first).to_contain_text("nobody")
    rows.nth(1).get_by_role("link").click()
    expect(page).to_have_url(f"{console.url}/console/person?id=46")


def test_what_came_while_nobody_looked_is_there_when_somebody_does(page: Page, console: Console) -> None:
    page.goto("/console/decisions")
    rows = page.locator("table.decisions tbody tr")
    first = rows.first.get_attribute("id")
    expect(page.get_by_text("New decisions appear by themselves.")).to_be_visible()
    hidden = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"
    event = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hidden.format("true") + event)
    match(console, "obama-2009.jpg")
    page.wait_for_timeout(1500)  # longer than a new decision needs
    assert rows.first.get_attribute("id") == first
    page.evaluate(hidden.format("false") + event)
    expect(rows.nth(1)).to_have_attribute("id", first or "")
    expect(rows.first).to_contain_text(NAMES["44"])


def test_filters_are_typed_in_the_browsers_time(browser: Browser, console: Console, url: str) -> None:
    keep(url, look_again("44"), at=datetime(2026, 7, 1, 12, 30, tzinfo=UTC))
    with open_page(browser, console, "gallery") as page:
        page.goto("/console/decisions")
        page.get_by_label("Verdict").select_option("look_again")
        page.get_by_label("Person's id").fill("44")
        zone = int(page.evaluate("new Date(2026, 6, 1).getTimezoneOffset()"))
        assert zone == 0 or zone  # whatever it is
        local = page.evaluate(
            "((t) => new Date(t - 60000 * new Date(t).getTimezoneOffset()).toISOString().slice(0, 16))"
            "(Date.parse('2026-07-01T12:00Z'))"
        )
        page.get_by_label("From").fill(local)
        page.get_by_role("button", name="Show", exact=True).click()
        assert "since=2026-07-01T12%3A00" in page.url
        expect(page.get_by_label("From")).to_have_value(local)
        expect(page.locator("table.decisions tbody tr")).to_have_count(1)
        page.get_by_label("Verdict").select_option("no")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_text("No decision is like this.")).to_be_visible()


def test_a_decision_is_right_wrong_or_somebody_else(page: Page, url: str) -> None:
    keep(url, look_again("46"), look_again("44", 0.42), look_again("46", 0.44))
    page.goto("/console/review")
    queue = page.locator("section.review")
    count = queue.count()
    queue.first.get_by_role("button", name="Yes, right").click()
    expect(page.get_by_text("Noted. It can be undone below.")).to_be_visible()
    expect(queue).to_have_count(count - 1)
    queue.first.get_by_role("button", name="No, wrong").click()
    expect(queue).to_have_count(count - 2)
    queue.first.get_by_text("It was somebody else").click()
    queue.first.get_by_label("Person's id").fill("nobody")
    queue.first.get_by_role("button", name="It was this person").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody is enrolled with this id.")
    queue.first.get_by_label("Person's id").fill("44")
    queue.first.get_by_role("button", name="It was this person").click()
    expect(queue).to_have_count(count - 3)
    last = page.get_by_role("table").first
    expect(last).to_contain_text(f"It was not {NAMES['46']} 46, but {NAMES['44']} 44")
    expect(page.get_by_text("3 decisions were looked at again; right: 1.")).to_be_visible()
    for width in (360, 1600):
        for theme in ("light", "dark"):
            show(page, width, theme)  # type: ignore[arg-type]
            assert sideways_pixels(page) == 0
            screenshot(page, f"review-{width}-{theme}")
    last.get_by_role("button", name="Undo").first.click()
    expect(page.get_by_text("Undone: the decision waits again.")).to_be_visible()
    expect(queue).to_have_count(count - 2)


def test_both_pages_work_without_script(browser: Browser, console: Console, url: str) -> None:
    keep(url, look_again("44"))
    with open_page(browser, console, "gallery", script=False, language="de") as page:
        page.goto("/console/decisions")
        expect(page.locator("table.decisions tbody tr").first).to_contain_text("noch einmal ansehen")
        assert page.locator("[data-events]").is_hidden()
        page.get_by_label("Urteil").select_option("yes")
        page.get_by_role("button", name="Zeigen", exact=True).click()
        assert "verdict=yes" in page.url
        for width in (360, 1600):
            show(page, width)
            assert sideways_pixels(page) == 0
            screenshot(page, f"decisions-{width}-light")
        page.goto("/console/review")
        page.locator("section.review").first.get_by_role("button", name="Ja, richtig").click()
        expect(page.get_by_text("Notiert.")).to_be_visible()
