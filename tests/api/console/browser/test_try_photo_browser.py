"""Try a photo in Chromium: by a file, by the camera, by a descriptor, and where there is no camera."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from console_browser import Camera, axe, open_page, screenshot, show, sideways_pixels
from console_service import Console, console_service
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import PHOTOS, photo


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service() as console:
        console.enrol("1029", "obama-2009.jpg", "obama-2010.jpg", name="Ben")
        console.enrol("7", "biden-2010.jpg", name="W" * 255)
        yield console


def choose(page: Page, name: str) -> None:
    page.goto("/console/try")
    page.get_by_label("Photo", exact=True).set_input_files(PHOTOS / name)
    page.get_by_role("button", name="Try this photo").click()


def test_a_file_is_tried_and_the_page_is_readable_on_a_telephone_and_a_wide_screen(page: Page) -> None:
    for width, theme in ((360, "light"), (1600, "dark")):
        show(page, width, theme)  # type: ignore[arg-type]
        choose(page, "obama-2012.jpg")
        expect(page.get_by_role("status")).to_contain_text("Recognised as")
        expect(page.get_by_role("status")).to_contain_text("Ben")
        expect(page.get_by_role("img", name="The photo, with a box around the face.")).to_be_visible()
        scale = page.get_by_role("img", name="Distances on a scale")
        expect(scale).to_have_accessible_description(
            "The 2 nearest people from 0, the same face, to the right: the further, the less alike. "
            "The line of what is accepted at most stands at 0.38. The table below has the same distances."
        )
        assert sideways_pixels(page) == 0
        assert axe(page) == []
        box = page.locator(".tried-photo svg").bounding_box()
        assert box is not None
        assert box["width"] <= width
        screenshot(page, f"try-{width}-{theme}")


def test_the_drawn_photo_is_shown(page: Page) -> None:
    choose(page, "collins-1999.png")
    expect(page.get_by_role("img", name="numbered boxes around 2 faces")).to_be_visible()
    decoded = page.evaluate(
        """() => { const image = new Image(); image.src = document.querySelector('svg image').getAttribute('href');
            return image.decode().then(() => [image.naturalWidth, image.naturalHeight]) }"""
    )
    assert decoded == [512, 512]
    rect = page.locator(".tried-photo .tried rect").bounding_box()
    picture = page.locator(".tried-photo image").bounding_box()
    assert rect is not None
    assert picture is not None
    assert picture["x"] < rect["x"] < picture["x"] + picture["width"] / 2


def test_a_photo_of_the_camera_is_tried(page: Page, camera: Camera) -> None:
    camera.show("obama-2012.jpg")
    page.goto("/console/try")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take a photo and try it").click()
    expect(page.get_by_role("status")).to_contain_text("Recognised as")
    expect(page.get_by_role("status")).to_contain_text("Ben")
    shown = page.locator("svg image")
    assert shown.get_attribute("width") == "640"  # the device's own picture, in full
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Switch the camera off").click()
    expect(page.get_by_role("button", name="Use the camera")).to_be_focused()
    assert page.evaluate("document.querySelector('video').srcObject") is None


def test_an_empty_picture_of_the_camera_says_what_to_do(page: Page, camera: Camera) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (640, 480), (90, 90, 90)).save(grey, "PNG")
    camera.show_file(grey.getvalue())
    page.goto("/console/try")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take a photo and try it").click()
    expect(page.get_by_role("status")).to_contain_text("No face was found in this photo")


def test_without_a_camera_the_page_says_why(page: Page) -> None:
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'))"
    )
    page.goto("/console/try")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("alert")).to_have_text("There is no camera. Choose a file.")
    expect(page.get_by_role("button", name="Use the camera")).to_be_enabled()


def test_it_works_without_script_and_in_german(browser: Browser, console: Console) -> None:
    with open_page(browser, console, "match", script=False, language="de") as page:
        page.goto("/console/try")
        expect(page.get_by_role("button", name="Kamera benutzen")).to_be_hidden()
        page.get_by_label("Foto", exact=True).set_input_files(PHOTOS / "obama-2012.jpg")
        page.get_by_role("button", name="Dieses Foto ausprobieren").click()
        expect(page.get_by_role("status")).to_contain_text("innerhalb der Schwelle 0,38")


def test_a_descriptor_is_pasted(page: Page, console: Console) -> None:
    with console.api() as api:
        encoded = api.post("/encode-image", files={"image": photo("obama-2012.jpg")}).json()
    page.goto("/console/try")
    page.get_by_text("Or paste a descriptor").click()
    page.get_by_label("Descriptor").fill(json.dumps(encoded))
    page.get_by_role("button", name="Try this descriptor").click()
    expect(page.get_by_role("status")).to_contain_text("Recognised as")
    page.get_by_text("Or paste a descriptor").click()
    page.get_by_label("Descriptor").fill("[1, 2]")
    page.get_by_role("button", name="Try this descriptor").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    expect(page.get_by_label("Descriptor")).to_have_value("[1, 2]")
