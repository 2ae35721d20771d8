"""Enrol in Chromium: by files and by the camera, with what is said of a photo before it is stored."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from console_browser import Camera, axe, open_page, screenshot, show, sideways_pixels
from console_service import Console, console_service
from encrypted_galleries import KEY
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page, Route, expect
from serving import PHOTOS, photo

CHECK = "**/console/enrol/check*"
SETTINGS = {"FACE128_GALLERY_KEY": KEY, "FACE128_THUMBNAILS_HOURS": "2", "FACE128_MIN_QUALITY": "fair"}


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service(**SETTINGS) as console:
        yield console


def file_of(name: str) -> str:
    return str(PHOTOS / name)


def begin(page: Page, user_id: str, name: str) -> None:
    page.goto("/console/enrol")
    page.get_by_label("Number", exact=True).fill(user_id)
    page.get_by_label("Name").fill(name)


def cards(page: Page) -> Any:
    return page.locator("#photos > li")


def verdicts(page: Page, count: int) -> list[str]:
    """Of the photos, as soon as each has one."""
    tags = cards(page).locator(".tag:not([hidden])")
    expect(tags).to_have_count(count)
    return list(tags.all_inner_texts())


def people(console: Console) -> dict[str, int]:
    with console.api() as api:
        return {each["user_id"]: each["photos"] for each in api.get("/people").json()["people"]}


def erase(console: Console, *user_ids: str) -> None:
    with console.api() as api:
        for user_id in user_ids:
            assert api.delete(f"/enroll_faces/{user_id}").status_code == 200


def test_by_files_with_a_verdict_for_each(page: Page, console: Console) -> None:
    begin(page, "44", "Barack Obama")
    page.get_by_label("Choose photos").set_input_files([file_of(f"obama-{year}.jpg") for year in (2012, 2009)])
    assert verdicts(page, 2) == ["good", "fair"]
    expect(cards(page).nth(1)).to_contain_text("Turn to the light. Look at the camera.")
    page.get_by_label("Choose photos").set_input_files(file_of("hopper-1984.jpg"))
    assert verdicts(page, 3)[2] == "good"
    page.get_by_role("button", name="Remove photo 3").click()
    expect(cards(page)).to_have_count(2)
    page.get_by_role("button", name="Enrol").click()
    expect(page.get_by_role("heading", name="\u2068Barack Obama\u2069 is enrolled")).to_be_visible()
    pictures = page.locator(".enrolled img")
    expect(pictures).to_have_count(2)
    assert all(
        pictures.nth(at).evaluate("image => image.decode().then(() => image.naturalWidth)") > 80 for at in (0, 1)
    )
    assert people(console) == {"44": 2}
    erase(console, "44")


def test_by_the_camera_and_not_mirrored(page: Page, console: Console, camera: Camera) -> None:
    camera.show("biden-2010.jpg")
    begin(page, "46", "Joe Biden")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator(".camera svg rect")).to_be_visible()  # the face
    expect(page.locator(".camera-box .says")).not_to_be_empty()
    take = page.get_by_role("button", name="Take a photo")
    expect(take).to_be_focused()
    page.keyboard.press("Enter")
    verdicts(page, 1)
    for width, theme in ((360, "dark"), (1600, "light")):
        show(page, width, theme)  # type: ignore[arg-type]
        assert axe(page) == []
        assert sideways_pixels(page) == 0
        screenshot(page, f"enrol-camera-{width}-{theme}")
    page.get_by_role("button", name="Enrol").click()
    expect(page.get_by_role("heading", name="\u2068Joe Biden\u2069 is enrolled")).to_be_visible()
    seen = Image.open(io.BytesIO(camera.file.read_bytes()))  # the first of its frames
    frame = io.BytesIO()
    seen.save(frame, "PNG")
    with console.api() as api:
        answer = api.post("/match_face", params={"explain": True}, files={"image": frame.getvalue()}).json()
    assert (answer["status"], answer["user_id"]) == ("access_granted", "46")
    assert answer["distance"] < 0.1  # mirrored, it would be 0.2
    erase(console, "46")


def test_a_bad_photo_is_refused_beside_it_and_the_rest_stays(page: Page, console: Console) -> None:
    blurred = io.BytesIO()
    Image.open(io.BytesIO(photo("hopper-1984.jpg"))).filter(ImageFilter.GaussianBlur(5)).save(blurred, "PNG")
    begin(page, "7", "Grace Hopper")
    bad = {"name": "blurred.png", "mimeType": "image/png", "buffer": blurred.getvalue()}
    several = {"name": "several.png", "mimeType": "image/png", "buffer": photo("collins-1999.png")}
    good = {"name": "good.jpg", "mimeType": "image/jpeg", "buffer": photo("hopper-1984.jpg")}
    page.get_by_label("Choose photos").set_input_files([good, bad, several])  # type: ignore[list-item]
    assert verdicts(page, 2) == ["good", "poor"]
    expect(cards(page).nth(1)).to_contain_text("Hold still, and wipe the lens.")
    expect(cards(page).nth(2)).to_contain_text("There are several faces in the photo.")
    page.get_by_role("button", name="Remove photo 3").click()
    page.get_by_role("button", name="Enrol").click()
    expect(cards(page).nth(1).get_by_role("alert")).to_contain_text("This photo is not good enough to be enrolled.")
    expect(page.get_by_label("Name")).to_have_value("Grace Hopper")
    assert people(console) == {}
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Your system has the number as").select_option("number")
    page.get_by_label("Number", exact=True).fill("007")
    page.get_by_role("button", name="Remove photo 2").click()
    page.get_by_role("button", name="Enrol").click()
    expect(page.get_by_role("alert").filter(has_text="The number is no number")).to_be_visible()
    expect(page.get_by_label("Your system has the number as")).to_be_focused()
    page.get_by_label("Number", exact=True).fill("7")
    page.get_by_role("button", name="Enrol").click()
    expect(page.get_by_role("heading", name="\u2068Grace Hopper\u2069 is enrolled")).to_be_visible()
    assert people(console) == {"7": 1}
    erase(console, "7")


def test_somebody_elses_face_is_known_before_it_is_stored(page: Page, console: Console, camera: Camera) -> None:
    console.enrol("44", "obama-2012.jpg", name="Barack <b>Obama</b>")
    camera.show_file(cropped("obama-2010.jpg"))
    begin(page, "45", "Somebody")
    page.get_by_role("button", name="Use the camera").click()
    warning = "This face is already enrolled as \u2068Barack <b>Obama</b>\u2069 (\u206844\u2069)."
    expect(page.locator("[data-warning]")).to_have_text(warning)
    page.get_by_role("button", name="Take a photo").click()
    expect(cards(page).get_by_role("alert")).to_have_text(warning)
    assert people(console) == {"44": 1}
    page.get_by_role("button", name="Enrol").click()
    question = page.locator("#answer")
    expect(question).to_contain_text(f"{warning} Is this really somebody else?")
    expect(question.get_by_role("button", name="No")).to_be_focused()
    show(page, 360, "light")
    assert axe(page) == []
    assert sideways_pixels(page) == 0
    screenshot(page, "enrol-question-360-light")
    question.get_by_role("button", name="No").click()
    expect(question).to_be_empty()
    assert people(console) == {"44": 1}
    page.get_by_role("button", name="Enrol").click()
    question.get_by_role("button", name="Yes, it is somebody else: enrol").click()
    expect(page.get_by_role("heading", name="\u2068Somebody\u2069 is enrolled")).to_be_visible()
    assert people(console) == {"44": 1, "45": 1}
    erase(console, "44", "45")


def cropped(name: str) -> bytes:
    """The photo's upper half, so that the face is large enough for the camera."""
    image, file = Image.open(io.BytesIO(photo(name))), io.BytesIO()
    image.crop((image.width // 4, 0, image.width, image.height // 2)).save(file, "PNG")
    return file.getvalue()


CHECKS = """performance.getEntriesByType('resource').filter((each) => each.name.includes('/enrol/check'))
    .map((each) => [each.startTime, each.responseEnd, each.responseStatus])"""


def test_one_frame_at_a_time_and_a_pause_where_the_service_is_busy(
    browser: Browser, console: Console, camera: Camera
) -> None:
    with open_page(browser, console, watched=False) as page:
        page.goto("/console/enrol")
        page.get_by_role("button", name="Use the camera").click()
        for _ in range(3):
            with page.expect_response(CHECK):
                pass
        # The service refuses by itself only under a load that is too heavy for a test.
        busy = {"status": 503, "headers": {"Retry-After": "2"}, "json": {"error": "The service is busy."}}
        page.route(CHECK, lambda route: route.fulfill(**busy), times=1)  # type: ignore[arg-type]
        expect(page.locator(".camera-box .says")).to_have_text("The service is busy.")
        with page.expect_response(lambda answer: "/enrol/check" in answer.url and answer.status == 200):
            pass
        page.get_by_role("button", name="Switch the camera off").click()
        expect(page.get_by_role("button", name="Use the camera")).to_be_focused()
        assert page.evaluate("document.querySelector('video').srcObject") is None
        # By the browser's own clock, in ms.
        for (_, ended, status), (began, _, _) in pairwise(page.evaluate(CHECKS)):
            assert began - ended > (1990 if status == 503 else 390)


@pytest.mark.parametrize(
    ("error", "said"), [("NotAllowedError", "does not allow"), ("NotFoundError", "There is no camera")]
)
def test_without_a_camera_files_are_left(page: Page, error: str, said: str) -> None:
    refused = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'))"
    page.add_init_script(refused)
    page.goto("/console/enrol")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator(".camera-box .says")).to_contain_text(said)
    expect(page.locator("video")).to_be_hidden()
    expect(page.get_by_label("Choose photos")).to_be_enabled()


def test_four_photos_are_the_most(page: Page, camera: Camera) -> None:
    begin(page, "7", "Grace Hopper")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_label("Choose photos").set_input_files([file_of("hopper-1984.jpg")] * 5)
    expect(cards(page)).to_have_count(4)
    expect(page.get_by_role("button", name="Take a photo")).to_be_disabled()
    expect(page.locator(".camera-box .says")).to_have_text("Four photos are the most: remove one to take another.")
    page.get_by_role("button", name="Remove photo 2").click()
    expect(page.get_by_role("button", name="Take a photo")).to_be_enabled()


def test_what_the_service_says_of_the_camera_does_not_hide_that_four_photos_are_the_most(
    page: Page, camera: Camera
) -> None:
    begin(page, "7", "Grace Hopper")
    held: list[Route] = []
    page.route(CHECK, lambda route: held.append(route), times=1)
    with page.expect_request(CHECK):
        page.get_by_role("button", name="Use the camera").click()
    page.get_by_label("Choose photos").set_input_files([file_of("hopper-1984.jpg")] * 4)
    says = page.locator(".camera-box .says")
    expect(says).to_have_text("Four photos are the most: remove one to take another.")
    held[0].continue_()
    # The photos are looked at after the camera's picture.
    expect(cards(page).first.locator(".tag")).to_have_text(re.compile(r"\S"))
    assert says.inner_text() == "Four photos are the most: remove one to take another."


def test_without_script(browser: Browser, console: Console) -> None:
    with open_page(browser, console, "gallery", script=False, language="de") as page:
        page.goto("/console/enrol")
        page.get_by_label("Nummer", exact=True).fill("44")
        page.get_by_label("Name").fill("Barack Obama")
        page.get_by_label("Fotos auswählen").set_input_files([file_of("obama-2012.jpg"), file_of("collins-1999.png")])
        page.get_by_role("button", name="Anlegen").click()
        expect(page.get_by_role("alert")).to_contain_text("Foto 2 (collins-1999.png)")
        expect(page.get_by_role("alert")).to_contain_text("Im Foto sind mehrere Gesichter.")
        expect(page.get_by_label("Name")).to_have_value("Barack Obama")
        page.get_by_label("Fotos auswählen").set_input_files([file_of("obama-2012.jpg")])
        page.get_by_role("button", name="Anlegen").click()
        expect(page.get_by_role("heading", name="\u2068Barack Obama\u2069 ist angelegt")).to_be_visible()
    assert people(console) == {"44": 1}
    erase(console, "44")
