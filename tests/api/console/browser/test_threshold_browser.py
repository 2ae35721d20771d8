"""The sliders in Chromium: by keyboard, by typing, without script, and while an answer is late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from console_browser import open_page, screenshot, show, sideways_pixels
from console_service import Console, console_service
from playwright.sync_api import Browser, Page, Route, expect
from threshold_truth import by_definition, compared_page, enrol_all, people

from face128.gallery.gallery import Gallery

PHOTOS = people(30)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("gallery")
    gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite", template="mean")
    enrol_all(gallery, PHOTOS)
    gallery.close()
    with console_service(FACE128_DATA=str(folder), FACE128_ENGINES="fake") as console:
        with console.client() as client:
            compared_page(client)
        yield console


def counted(threshold: float) -> str:
    """What the page says of the members, by the definition."""
    taken = round(by_definition(PHOTOS, threshold, mean=True)[0] * len(PHOTOS))
    return f"Of your {len(PHOTOS)} members, {taken} could be taken for somebody else"


def test_sliding_by_keyboard(page: Page) -> None:
    page.goto("/console/threshold")
    figures, slider = page.locator('[data-part="threshold"]'), page.get_by_label("Slider of the threshold")
    expect(figures).to_contain_text(counted(0.38))
    expect(figures).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("button", name="Show")).to_be_hidden()
    page.get_by_label("Threshold: the greatest distance").focus()
    page.keyboard.press("Shift+Tab")
    expect(slider).to_be_focused()
    for _ in range(14):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Threshold: the greatest distance")).to_have_value("0.45")
    expect(figures).to_contain_text("At a distance of at most 0.450:")
    expect(figures).to_contain_text(counted(0.45))
    assert counted(0.45) != counted(0.38)
    expect(slider).to_be_focused()
    expect(page.locator('[data-part="settings"]')).to_contain_text('"threshold": 0.45')
    expect(page.locator("svg.crowd")).to_contain_text("threshold 0.450")
    assert "threshold=0.45" in page.url
    page.reload()
    expect(figures).to_contain_text(counted(0.45))
    for width, theme in ((360, "dark"), (1600, "light")):
        show(page, width, theme)  # type: ignore[arg-type]
        assert not sideways_pixels(page)
        screenshot(page, f"threshold-{width}-{theme}")


def test_typing_and_the_table(page: Page) -> None:
    page.goto("/console/threshold")
    page.get_by_label("Threshold: the greatest distance").fill("0.5")
    expect(page.locator('[data-part="threshold"]')).to_contain_text(counted(0.5))
    expect(page.get_by_label("Slider of the threshold")).to_have_value("0.5")
    page.get_by_text("The same as a table").click()
    page.get_by_label("Alpha: the share of strangers who may come in").fill("0.05")
    expect(page.locator('[data-part="alpha"]')).to_contain_text("With at most 5.0 % of strangers")
    expect(page.get_by_role("table", name="How near the nearest other member is")).to_be_visible()  # it stays open
    page.get_by_label("Alpha: the share of strangers who may come in").fill("7")
    expect(page.locator('[data-part="alpha"]')).to_contain_text("With at most 5.0 % of strangers")  # 7 is none
    page.get_by_label("Slider of alpha").focus()
    page.keyboard.press("Home")
    expect(page.locator('[data-part="alpha"]')).to_contain_text("With at most 0.10 % of strangers")
    expect(page.locator('[data-part="settings"]')).to_contain_text("FACE128_ALPHA=0.001")


def test_a_newer_place_takes_the_turn_of_an_answer_that_is_late(page: Page) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.goto("/console/threshold")
    page.route("**/console/threshold?*part=1*", hold_the_first)
    number, figures = page.get_by_label("Threshold: the greatest distance"), page.locator('[data-part="threshold"]')
    with page.expect_event("requestfailed") as failed:
        with page.expect_request("**part=1**"):
            number.fill("0.2")
        number.fill("0.55")
    assert "threshold=0.2" in failed.value.url
    expect(figures).to_contain_text(counted(0.55))
    page.unroute("**/console/threshold?*part=1*")


def test_a_service_that_is_away_is_asked_again(page: Page) -> None:
    failed: list[Route] = []

    def fail_twice(route: Route) -> None:
        failed.append(route)
        if len(failed) == 1:
            route.abort()
        elif len(failed) == 2:
            route.fulfill(status=429, body="{}", content_type="application/json")
        else:
            route.continue_()

    page.goto("/console/threshold")
    page.route("**/console/threshold?*part=1*", fail_twice)
    page.get_by_label("Threshold: the greatest distance").fill("0.45")
    expect(page.locator('[data-part="threshold"]')).to_contain_text(counted(0.45))
    assert len(failed) == 3


def test_a_session_that_has_ended_leads_to_the_sign_in(browser: Browser, console: Console) -> None:
    with open_page(browser, console) as page:
        page.goto("/console/threshold")
        page.context.clear_cookies()
        page.get_by_label("Threshold: the greatest distance").fill("0.45")
        page.wait_for_url("**/console/sign-in**")


def test_without_script(browser: Browser, console: Console) -> None:
    with open_page(browser, console, "gallery", script=False) as page:
        page.goto("/console/threshold")
        expect(page.get_by_label("Slider of the threshold")).to_be_hidden()
        page.get_by_label("Threshold: the greatest distance").fill("0.6")
        page.get_by_role("button", name="Show").click()
        expect(page.locator('[data-part="threshold"]')).to_contain_text(counted(0.6))
        page.get_by_role("link", name="Name 1", exact=True).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Name 1")
