"""The four pictures of docs/console.md: ``python -m benchmarks.console_pictures``. Needs Chromium.

The photos are those of fixtures/; the other people are mixed from numbers and have made-up names.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path

import numpy as np
from console_browser import CAMERA_PIXELS, Camera, console_browser, open_page
from console_service import Console, console_service
from PIL import Image, ImageOps
from playwright.sync_api import Page
from serving import PHOTOS

from benchmarks.harness import ROOT
from benchmarks.synthetic_people import people
from face128.domain.model_card import DLIB
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

FOLDER = ROOT / "docs" / "images"
WIDTH, MAX_HEIGHT = 1160, 1400
COLOURS = 256
ALIKE = 0.33
"""How much of a person is what all have: mixed people are further apart than real ones."""
OWN_NOISE = (0.01, 0.035)
"""Of a person's two photos, in each of 128 numbers: from person to person another."""
FIRST_NAMES = (
    *("Vicky", "Leo", "Xena", "Ines", "Tess", "Eva", "Wes", "Paul", "Ann", "Omar"),
    *("Mia", "Noah", "Lena", "Ravi", "Sofia", "Jonas", "Aiko", "Kofi", "Nora", "Luis"),
)
PEOPLE = len(FIRST_NAMES) * 20
SECOND_PHOTOS = PEOPLE // 3
WAIT_S = 60.0


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _enrol_people(f"sqlite:///{folder}/gallery.sqlite")
        with console_service(keys=False, FACE128_DATA=folder, FACE128_DECISION_LOG_DAYS="30") as console:
            console.enrol("1029", "obama-2009.jpg", "obama-2012.jpg", name="Barack Obama")
            console.enrol("1031", "hopper-1984.jpg", name="Grace Hopper")
            with console_browser() as (browser, camera), open_page(browser, console, key=None) as page:
                page.set_viewport_size({"width": WIDTH, "height": 800})
                for name, draw in PICTURES.items():
                    draw(page, camera, console)
                    _write(page.screenshot(full_page=True), FOLDER / f"console-{name}.png")


def _enrol_people(url: str) -> None:
    names = [f"{first} {letter}." for letter, first in product("ABCDEFGHIKLMNOPRSTVW", FIRST_NAMES)]
    random, mixed = np.random.default_rng(27), people(PEOPLE, 27)
    first = (1 - ALIKE) * mixed + ALIKE * mixed.mean(axis=0)
    second = first + random.normal(0, random.uniform(*OWN_NOISE, (PEOPLE, 1)), first.shape).astype(np.float32)
    with closing(Gallery(url)) as gallery:
        for number, name in enumerate(names):
            photos = [first[number], *([second[number]] if number < SECOND_PHOTOS else [])]
            faces = [NewFace(vector, f"{number} {place}".encode()) for place, vector in enumerate(photos)]
            gallery.enrol(Person(name, str(2000 + number)), faces, DLIB, force=True)


def _enrol(page: Page, camera: Camera, _: Console) -> None:
    with Image.open(PHOTOS / "biden-2010.jpg") as portrait, io.BytesIO() as file:
        # As a camera on a desk sees him: the upper part, in its own shape.
        ImageOps.fit(portrait, CAMERA_PIXELS, centering=(0.5, 0.02)).save(file, "JPEG", quality=95)
        camera.show_file(file.getvalue())
    page.goto("/console/enrol")
    page.get_by_label("Number", exact=True).fill("1030")
    page.get_by_label("Name", exact=True).fill("Joe Biden")
    page.get_by_role("button", name="Use the camera").click()
    for taken in (1, 2):
        page.get_by_role("button", name="Take a photo").click()
        page.locator("#photos li .tag:not([hidden])").nth(taken - 1).wait_for()
    page.locator(".camera-box svg rect").wait_for(state="attached")


def _try(page: Page, *_: object) -> None:
    page.goto("/console/try")
    page.get_by_label("Photo", exact=True).set_input_files(PHOTOS / "obama-2010.jpg")
    page.get_by_role("button", name="Try this photo").click()
    page.get_by_role("heading", name="Who is near").wait_for()


def _threshold(page: Page, *_: object) -> None:
    _open_when_measured(page, "/console/threshold?threshold=0.42")


def _health(page: Page, *_: object) -> None:
    _open_when_measured(page, "/console/health")


def _open_when_measured(page: Page, path: str) -> None:
    deadline = time.monotonic() + WAIT_S
    page.goto(path)
    while page.locator("[data-comparing], [data-measuring], progress").count() and time.monotonic() < deadline:
        time.sleep(1)
        page.goto(path)
    page.mouse.move(0, 0)


PICTURES: dict[str, Callable[[Page, Camera, Console], None]] = {
    "enrol": _enrol,
    "try": _try,
    "threshold": _threshold,
    "health": _health,
}


def _write(png: bytes, file: Path) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT)))
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{re.sub('.*/docs', 'docs', str(file))}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
