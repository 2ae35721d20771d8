"""The health of the gallery and the trail in Chromium: measured while one looks, mended by the links, jobs live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from console_browser import axe, open_page, screenshot, show, sideways_pixels
from console_service import Console, console_service
from playwright.sync_api import Browser, Page, expect

THEMES: Any = ("light", "dark")
WIDTHS = (360, 1600)
HALF = {"state": "running", "stage": "encoding", "total": 200, "done": 50, "failed": 2, "errors": {"no_face": 2}}


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    """A person who is enrolled twice, one with somebody else's photo, and a trail."""
    with console_service(FACE128_TRAIL="1", FACE128_DECISION_LOG_DAYS="30") as console:
        console.enrol("joe", "biden-2010.jpg", name="Joe")
        console.enrol("joe-2", "biden-2010.jpg", name="Joseph Robinette", query="?force=true")
        photos = ("obama-2009.jpg", "obama-2012.jpg", "obama-2010.jpg", "hopper-1984.jpg")
        console.enrol("bob", *photos, name="Bob", query="?force=true")
        yield console


def look_well(page: Page, name: str) -> None:
    problems = []
    for theme in THEMES:
        for width in WIDTHS:
            show(page, width, theme)
            screenshot(page, f"{name}-{width}-{theme}")
            problems += [f"{width}, {theme}: {found}" for found in axe(page)]
            problems += [f"{width}, {theme}: {pixels} pixels too wide"] if (pixels := sideways_pixels(page)) else []
    assert not problems, "\n".join(problems)


def test_two_who_are_one_are_found_and_merged_and_the_gallery_is_well(page: Page, console: Console) -> None:
    with console.api() as api:
        for state, job in (("running", "a"), ("interrupted", "b"), ("done", "c")):
            api.put(f"/jobs/{job}", json=HALF | {"state": state})
    page.goto("/console")
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Health").click()
    finding = page.locator("section").filter(has=page.get_by_role("heading", name="One photo is enrolled"))
    expect(finding).to_be_visible(timeout=60_000)
    look_well(page, "health-findings")
    finding.get_by_role("link", name="One person: merge the two").click()
    expect(page).to_have_url(re.compile("person/merge"))
    page.get_by_role("button", name=re.compile("merge", re.IGNORECASE)).first.click()
    dialog = page.get_by_role("dialog")
    if dialog.count():
        dialog.get_by_role("button", name=re.compile("merge", re.IGNORECASE)).click()
    expect(page).to_have_url(re.compile("done="))
    page.goto("/console/health")
    expect(finding).to_have_count(0)
    page.get_by_role("button", name="Measure again").click()
    expect(page).to_have_url(re.compile("after="))
    expect(page.get_by_text("2 people with 6 photos")).to_be_visible(timeout=60_000)


def test_a_job_moves_while_one_looks(page: Page, console: Console) -> None:
    with console.api() as api:
        api.put("/jobs/live", json=HALF)
        page.goto("/console/health")
        row = page.get_by_role("row").filter(has=page.get_by_text("running")).first
        expect(row).to_contain_text("52 of 200 photos described")
        api.put("/jobs/live", json=HALF | {"stage": "enrolling", "total": 60, "done": 57})
        expect(row).to_contain_text("59 of 60 people enrolled", timeout=60_000)
        assert row.get_by_role("progressbar").evaluate("bar => bar.value / bar.max") == pytest.approx(59 / 60)
        api.put("/jobs/live", json=HALF | {"state": "done", "stage": "enrolling", "total": 60, "done": 58})
        expect(page.get_by_text("60 of 60 people enrolled")).to_be_visible(timeout=60_000)


def test_the_trail_is_checked_asked_and_taken_away(page: Page) -> None:
    page.goto("/console/trail")
    expect(page.get_by_text("nothing was changed or removed")).to_be_visible(timeout=60_000)
    look_well(page, "trail-entries")
    page.get_by_label("About the person with this id").fill("bob")
    page.get_by_label("What was done").select_option(label="enrolled")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Check again").click()
    expect(page).to_have_url(re.compile("after="))
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_the_keys_are_told_without_what_opens_anything(page: Page) -> None:
    page.goto("/console/keys")
    expect(page.get_by_text("this session's")).to_be_visible()
    look_well(page, "keys")
    page.goto("/console")
    look_well(page, "overview-numbers")


def test_without_script_each_page_says_all(browser: Browser, console: Console) -> None:
    with open_page(browser, console, script=False, language="de") as page:
        for _ in range(100):
            page.goto("/console/health")
            if page.get_by_text("untersucht:").count():
                break
        expect(page.get_by_role("heading", name="Fotos, die nicht von der Person selbst sind")).to_be_visible()
        screenshot(page, "health-german")
        page.get_by_role("button", name="Neu messen").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Zustand der Galerie")
        page.goto("/console/trail")
        screenshot(page, "trail-german")
