"""Turned, dark and tightly cropped copies of lfw-view1's photos: how many faces are found, and how far they move.

    python -m benchmarks.difficult_photos [--every N] [--only COPY ...]
    python -m benchmarks.difficult_photos --empty

The truth is the face that the engine finds in the photo itself, and its descriptor. ``--empty`` measures what the
search costs in photos without a face.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sized
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import LFW, ROOT
from face128.domain.adjustments import NOT_ADJUSTED, Adjustments
from face128.domain.descriptors import Vector
from face128.engines.base import Face
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.second_look import SecondLook
from face128.engines.dlib.weight_files import find_weights
from face128.photos.photo import RGB, Photo, open_photo

Box = tuple[int, int, int, int]
Copy = Callable[[RGB, Box], tuple[RGB, Box]]
"""From a photo and its face's box to a worse copy, and the box there."""

BRIGHTNESS = 0.1
NOISE_PHOTONS = (5000, 2000, 500)  # that a white pixel gets in the photo itself: a tenth of it in the dark copy
MAX_DISTANCE = 0.6
EMPTY_PHOTO = "biden-2010.jpg"
EMPTY_MEGAPIXELS = (0.0625, 0.3, 1, 11)
EMPTY_ROUNDS = 5


def turned(degrees: int) -> Copy:
    """Clockwise."""

    def copy(rgb: RGB, box: Box) -> tuple[RGB, Box]:
        left, top, right, bottom = box
        for _ in range(degrees // 90):
            height = rgb.shape[0]
            rgb = np.rot90(rgb, -1)
            left, top, right, bottom = height - 1 - bottom, left, height - 1 - top, right
        return rgb, (left, top, right, bottom)

    return copy


def dark(photons: int | None = None) -> Copy:
    """At a tenth of the brightness, with the shot noise of a sensor whose white pixels get so many photons."""

    def copy(rgb: RGB, box: Box) -> tuple[RGB, Box]:
        values = BRIGHTNESS * rgb
        if photons is not None:
            random = np.random.default_rng(rgb.size + int(rgb[0, 0, 0]))
            values = random.poisson(values / 255 * photons) * (255 / photons)
        return np.clip(np.round(values), 0, 255).astype(np.uint8), box

    return copy


def cropped(less: float) -> Copy:
    """At the face's box, less this share of its width on every side."""

    def copy(rgb: RGB, box: Box) -> tuple[RGB, Box]:
        inset = round(less * (box[2] - box[0]))
        left, top = max(0, box[0] + inset), max(0, box[1] + inset)
        cut = rgb[top : box[3] + 1 - inset, left : box[2] + 1 - inset]
        return cut, (box[0] - left, box[1] - top, box[2] - left, box[3] - top)

    return copy


COPIES: dict[str, Copy] = {
    "upright": lambda rgb, box: (rgb, box),
    **{f"turned {degrees}": turned(degrees) for degrees in (90, 180, 270)},
    "dark": dark(),
    **{f"dark, {photons} photons": dark(photons) for photons in NOISE_PHOTONS},
    **{f"box - {less:.0%}": cropped(less) for less in (0.05, 0.1)},
}


@dataclass(frozen=True)
class Outcome:
    copy: str
    face_count: int
    distance: float | None
    """Of the face nearest to where it should be; None without a face."""
    adjusted: Adjustments
    ms: float
    """CPU time to find and describe."""


def try_copies(path: Path, names: Iterable[str]) -> list[Outcome]:
    """Each copy's outcome; of a photo without a face, only of those that need no box."""
    engine = _engine()
    photo = open_photo(path.read_bytes())
    faces = engine.detect(photo)
    truth = engine.describe(engine.crop(photo, faces[:1]))
    box = faces[0].box if faces else None
    outcomes = []
    for name in names:
        if box is None and name != "upright":
            continue
        rgb, expected = COPIES[name](photo.rgb(), box or (0, 0, 0, 0))
        start = time.process_time()
        worse = Photo.from_rgb(np.ascontiguousarray(rgb))
        found = engine.detect(worse)
        nearest = sorted(found, key=partial(_offset, expected))[:1]
        descriptors = engine.describe(engine.crop(worse, nearest))
        ms = 1e3 * (time.process_time() - start)
        distance = float(np.linalg.norm(descriptors[0] - truth[0])) if nearest else None
        outcomes.append(Outcome(name, len(found), distance, found[0].adjusted if found else NOT_ADJUSTED, ms))
    return outcomes


def _offset(expected: Box, face: Face) -> float:
    middles = [np.array([left + right, top + bottom]) / 2 for left, top, right, bottom in (expected, face.box)]
    return float(np.linalg.norm(middles[0] - middles[1]))


@cache
def _engine() -> DlibEngine:
    return DlibEngine(find_weights())


def report(name: str, outcomes: list[Outcome]) -> str:
    distances: Vector = np.array([each.distance for each in outcomes if each.distance is not None])
    counts = [sum(bool(getattr(o.adjusted, field)) for o in outcomes) for field in vars(NOT_ADJUSTED)]
    return (
        f"| {name} | {len(outcomes)} | {1 - len(distances) / len(outcomes):.1%} "
        f"| {np.median(distances):.3f}, {np.percentile(distances, 95):.3f}, {distances.max():.3f} "
        f"| {(distances > MAX_DISTANCE).sum()} | {', '.join(map(str, counts))} "
        f"| {np.median([each.ms for each in outcomes]):.0f} |"
    )


def print_empty() -> None:
    """CPU time for the lower half of a portrait; both searches take turns."""
    detector = HogDetector("fast")
    searches: tuple[Callable[[Photo], Sized], ...] = (detector.find, SecondLook(detector).find)
    image = Image.open(ROOT / "fixtures" / "photos" / EMPTY_PHOTO).convert("RGB")
    image = image.crop((0, image.height // 2, image.width, image.height))
    print("| megapixels | one look, ms | with the second look, ms |\n| --- | --- | --- |")
    for megapixels in EMPTY_MEGAPIXELS:
        scale = math.sqrt(megapixels * 1e6 / (image.width * image.height))
        rgb = np.asarray(image.resize((round(scale * image.width), round(scale * image.height))))
        times: list[list[float]] = [[], []]
        for _ in range(EMPTY_ROUNDS):
            for search, own in zip(searches, times, strict=True):
                photo = Photo.from_rgb(rgb)
                start = time.process_time()
                assert not len(search(photo))
                own.append(1e3 * (time.process_time() - start))
        print(f"| {megapixels:g} | " + " | ".join(f"{np.median(each):.0f}" for each in times) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only every n-th photo")
    parser.add_argument("--only", nargs="+", choices=list(COPIES), default=list(COPIES), help="only these copies")
    parser.add_argument("--empty", action="store_true", help="only the cost of photos without a face")
    options = parser.parse_args()
    if options.empty:
        print_empty()
        return
    paths = sorted(LFW.rglob("*.jpg"))[:: options.every]
    by_copy: dict[str, list[Outcome]] = {name: [] for name in options.only}
    with ProcessPoolExecutor() as pool:
        for outcomes in pool.map(partial(try_copies, names=options.only), paths, chunksize=8):
            for outcome in outcomes:
                by_copy[outcome.copy].append(outcome)
    print("| copy | photos | missed | distance: median, 95 %, most | above 0.6 | turned, margin, lightened | CPU ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, outcomes in by_copy.items():
        print(report(name, outcomes))


if __name__ == "__main__":
    main()
