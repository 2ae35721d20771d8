"""The pages about people in Chromium: with script, without it, and by keyboard."""

from __future__ import annotations

import re

import pytest
from console_browser import open_page, screenshot, show, sideways_pixels
from console_service import Console
from fake_photos import create_record
from playwright.sync_api import Browser, Page, expect
from serving import photo


@pytest.fixture(scope="module", autouse=True)
def people(console: Console) -> None:
    console.enrol("obama", "obama-2009.jpg", "obama-2010.jpg", name="Barack Obama")
    console.enrol("obama-2", "obama-2012.jpg", name="B. Obama", query="?force=true")
    console.enrol("biden", "biden-2010.jpg", name="Joe Biden")
    console.enrol("evil", "hopper-1984.jpg", name="Long \u202enames-and-more" + 12 * " 𝕎ide-and-wider")
    with console.api() as api:
        answer = create_record(api, photo("biden-2010.jpg"), "Joe Biden", metadata='{"door": "west", "badge": 17}')
        assert answer.status_code == 200, answer.text


def test_people_are_found_renamed_and_merged(page: Page) -> None:
    page.goto("/console/people")
    page.get_by_role("searchbox", name="Search by name or id").fill("obama")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    screenshot(page, "people-found")
    page.get_by_role("link", name="B. Obama").click()
    page.get_by_label("Name", exact=True).fill("Obama, Barack")
    page.get_by_label("Erase on (UTC)").fill("2099-01-31T06:30")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Obama, Barack")
    page.get_by_role("link", name="Merge with somebody").click()
    page.get_by_role("searchbox").fill("obama")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Barack Obama").click()
    expect(page.locator("#main")).to_contain_text("has 3 photos")
    for width, theme in ((360, "light"), (1600, "dark")):
        show(page, width, theme)  # type: ignore[arg-type]
        assert not sideways_pixels(page)
        screenshot(page, f"people-merge-{width}-{theme}")
    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_role("status")).to_have_text("The two are one person now.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Barack Obama")
    expect(page.locator("tbody tr")).to_have_count(3)


def test_what_is_erased_is_asked_for_first(page: Page, console: Console) -> None:
    page.goto("/console/person?id=obama")
    photos = page.locator("tbody tr")
    before = photos.count()
    photos.first.get_by_role("button", name="Erase photo").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Erase this photo for good?")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(photos).to_have_count(before)
    photos.first.get_by_role("button", name="Erase photo").focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Erase photo").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The photo was erased.")
    expect(photos).to_have_count(before - 1)
    page.get_by_role("button", name="Erase person").click()
    screenshot(page, "people-erase-dialog")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Erase person").click()
    dialog.get_by_role("button", name="Erase person").click()
    expect(page.get_by_role("status")).to_contain_text("The person was erased.")
    expect(page).to_have_url(re.compile(r"/console/people\?done=erased"))
    with console.api() as api:
        assert api.get("/people/obama").status_code == 404


def test_without_script_the_same_forms_are_on_the_page(browser: Browser, console: Console) -> None:
    with open_page(browser, console, "gallery", script=False, language="de") as page:
        page.goto("/console/person?id=biden")
        page.get_by_text("Person löschen").first.click()
        page.locator("details").get_by_role("button", name="Person löschen").click()
        expect(page.get_by_role("status")).to_contain_text("Die Person ist gelöscht.")


@pytest.mark.parametrize(("width", "theme"), [(360, "light"), (360, "dark"), (1600, "light"), (1600, "dark")])
def test_pages_fit_the_screen(page: Page, console: Console, width: int, theme: str) -> None:
    show(page, width, theme)  # type: ignore[arg-type]
    with console.api() as api:
        (record,) = [one["user_id"] for one in api.get("/people?q=joe").json()["people"] if one["user_id"] != "biden"]
    pages = {
        "list": "people",
        "person": f"person?id={record}",
        "long": "person?id=evil",
        "choose": "person/merge?id=evil",
        "collections": "collections",
    }
    for name, path in pages.items():
        page.goto(f"/console/{path}")
        assert not sideways_pixels(page), name
        screenshot(page, f"people-{name}-{width}-{theme}")
