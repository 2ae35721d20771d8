"""An operator's first day, in Chromium: from the sign-in to the sign-out, with real photos, a camera and a door."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from console_browser import Camera, open_page, screenshot
from console_service import ALL, SECRETS, Console, console_service
from paths import FIXTURES
from playwright.sync_api import Browser, Page, expect
from serving import PHOTOS, photo

WAIT_MS = 30_000
TWO_PEOPLE = FIXTURES / "contracts" / "two-people.jpg"


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_REVIEW_ALPHA": "0.05", "FACE128_TRAIL": "1"}
    with console_service(**settings) as console:
        yield console


def to(page: Page, screen: str) -> None:
    """By the menu."""
    link = page.get_by_role("navigation", name="Screens").get_by_role("link", name=screen, exact=True)
    link.click()
    expect(link).to_have_attribute("aria-current", "page")


def fill_in(page: Page, number: str, name: str) -> None:
    page.get_by_label("Number", exact=True).fill(number)
    page.get_by_label("Name", exact=True).fill(name)


def enrolled(page: Page, name: str) -> None:
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.get_by_role("heading", name=f"\u2068{name}\u2069 is enrolled")).to_be_visible()


def people(console: Console) -> dict[str, int]:
    """The number of photos by id, as the API has it."""
    with console.api() as api:
        return {each["user_id"]: each["photos"] for each in api.get("/people").json()["people"]}


def test_from_the_sign_in_to_the_sign_out(browser: Browser, console: Console, camera: Camera) -> None:
    expect.set_options(timeout=WAIT_MS)
    with open_page(browser, console, key=None) as page:
        page.goto("/console")
        page.get_by_label("API key").fill("not-the-key")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not one of the service's keys.")
        page.get_by_label("API key").fill(SECRETS[ALL])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()

        # The first person, from a file; nobody with two faces in the picture.
        to(page, "Enrol")
        fill_in(page, "1029", "Barack Obama")
        page.get_by_label("Choose photos").set_input_files(TWO_PEOPLE)
        expect(page.locator("#photos li")).to_contain_text("There are several faces in the photo")
        screenshot(page, "journey-refused")
        page.get_by_role("button", name="Enrol", exact=True).click()
        expect(page.get_by_role("alert").filter(has_text="several faces").first).to_be_visible()
        assert people(console) == {}
        page.get_by_role("button", name="Remove photo 1").click()
        page.get_by_label("Choose photos").set_input_files(PHOTOS / "obama-2009.jpg")
        enrolled(page, "Barack Obama")

        # The second by the camera.
        camera.show("biden-2010.jpg")
        to(page, "Enrol")
        fill_in(page, "1030", "Joe Biden")
        page.get_by_role("button", name="Use the camera").click()
        expect(page.locator(".camera-box .says")).to_have_text(re.compile(r"\S"))
        page.get_by_role("button", name="Take a photo").click()
        expect(page.locator("#photos li")).to_have_count(1)
        screenshot(page, "journey-camera")
        enrolled(page, "Joe Biden")
        assert people(console) == {"1029": 1, "1030": 1}

        # Somebody enrols the first one a second time.
        to(page, "Enrol")
        fill_in(page, "2001", "Barack again")
        page.get_by_label("Choose photos").set_input_files(PHOTOS / "obama-2010.jpg")
        enrolled(page, "Barack again")

        # At the door the two are as near as each other, and the trial says the same.
        with console.api("match") as door:
            said = door.post("/match_face?explain=true", files={"image": photo("obama-2012.jpg")}).json()
        assert said["status"] == "access_denied"
        to(page, "Try")
        page.get_by_label("Photo", exact=True).set_input_files(PHOTOS / "obama-2012.jpg")
        page.get_by_role("button", name="Try this photo").click()
        expect(page.locator("main .notice").first).to_contain_text("Look again")
        screenshot(page, "journey-try")

        # What a looser threshold would do.
        to(page, "Threshold")
        figures = page.locator('[data-part="threshold"]')
        expect(figures).to_contain_text("0.38")
        before = figures.inner_text()
        slider = page.get_by_label("Slider of the threshold")
        slider.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(figures).to_contain_text("0.48")
        assert figures.inner_text() != before
        screenshot(page, "journey-threshold")

        # The decision at the door is looked at.
        to(page, "What happened")
        expect(page.get_by_role("table")).to_contain_text("Barack")
        to(page, "Look again")
        expect(page.get_by_role("heading", name="One decision waits")).to_be_visible()
        page.get_by_role("button", name="Yes, right").click()
        expect(page.get_by_role("status")).to_contain_text("Noted.")
        expect(page.get_by_text("Nothing waits.")).to_be_visible()

        # The two are one.
        to(page, "People")
        page.get_by_role("link", name="Barack again").click()
        page.get_by_role("link", name="Merge with somebody").click()
        page.get_by_label("Who stays? Search by name or id").fill("Obama")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Barack Obama").click()
        page.get_by_role("button", name="Merge", exact=True).click()
        expect(page.get_by_role("status")).to_have_text("The two are one person now.")
        assert people(console) == {"1029": 2, "1030": 1}
        to(page, "Try")
        page.get_by_label("Photo", exact=True).set_input_files(PHOTOS / "obama-2012.jpg")
        page.get_by_role("button", name="Try this photo").click()
        expect(page.locator("main .notice").first).to_contain_text("Recognised as")

        # Somebody leaves.
        to(page, "People")
        page.get_by_role("link", name="Joe Biden").click()
        page.get_by_role("button", name="Erase person").first.click()
        page.keyboard.press("Escape")
        assert people(console) == {"1029": 2, "1030": 1}
        page.get_by_role("button", name="Erase person").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Erase person").click()
        expect(page.get_by_role("status")).to_contain_text("The person was erased.")
        assert people(console) == {"1029": 2}

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("You are signed out.")
        page.goto("/console/people")
        assert page.url.endswith("/console/sign-in?next=people")
