"""What mixing dlib's descriptors with face-api.js's costs, on the labelled pairs of ../shared/data/lfw-view1.

    make faceapi && python benchmarks/mixing.py [--pairs 1000]

Prints the tables of docs/face-api.md: accepted and refused pairs at three thresholds, the two descriptors of a pair
made by one model or by two; and how far apart the two descriptors of one photo lie, by the roll of the head.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.engines.base import Engine
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.engines.faceapi.engine import FaceapiEngine
from face128.photos.photo import Photo, open_photo

ROOT = Path(__file__).parents[1]
LFW = ROOT.parent / "shared" / "data" / "lfw-view1"
MODELS = ROOT / "tests" / "faceapi_golden" / "node_modules" / "@vladmandic" / "face-api" / "model"

THRESHOLDS = (0.38, 0.5, 0.6)
ROLLS = (0, 3, 6, 10, 15, 25, 180)
TURNS = (0, 10, 20, 30)
ROWS = (("dlib", "dlib"), ("ssd", "ssd"), ("tiny", "tiny"), ("dlib", "ssd"), ("dlib", "tiny"), ("ssd", "tiny"))

Seen = tuple[dict[str, npt.NDArray[np.float32]], float]
"""The descriptors of a photo by engine, and the head's roll by dlib's landmarks."""


def read_pairs(most: int) -> list[tuple[Path, Path, bool]]:
    pairs = []
    for line in (LFW / "pairs.txt").read_text().splitlines():
        parts = line.split()
        if len(parts) == 3:
            parts.insert(2, parts[0])
        if len(parts) == 4:
            first, second = (LFW / "images" / name / f"{name}_{int(n):04}.jpg" for name, n in (parts[:2], parts[2:]))
            pairs.append((first, second, parts[0] == parts[2]))
    return pairs[:: max(1, len(pairs) // most)]


def look(engines: dict[str, Engine], path: Path, clockwise: int = 0) -> Seen:
    """The person in the middle of the photo, turned by so many degrees, as far as the engines find one."""
    photo = open_photo(path.read_bytes())
    if clockwise:
        turned_image = Image.fromarray(photo.rgb()).rotate(-clockwise, Image.Resampling.BICUBIC)
        photo = Photo.from_rgb(np.asarray(turned_image))
    centre = np.array([photo.width, photo.height]) / 2
    descriptors, turned = {}, 0.0
    for name, engine in engines.items():
        faces = engine.detect(photo)
        if faces:
            middle = min(faces, key=lambda face: np.linalg.norm(np.reshape(face.box, (2, 2)).mean(0) - centre))
            descriptors[name] = engine.describe(engine.crop(photo, [middle]))[0]
            turned = abs(middle.roll_degrees or 0.0) if name == "dlib" else turned
    return descriptors, turned


def tell_pairs(pairs: Iterable[tuple[Seen, Seen, bool]]) -> None:
    at = " / ".join(map(str, THRESHOLDS))
    print("| enrolled, seen | one person: median / max | two: min ", end="")
    print(f"| refused wrongly at {at} | accepted wrongly at {at} |")
    print("| --- | --- | --- | --- | --- |")
    for first, second in ROWS:
        found: dict[bool, list[float]] = {True: [], False: []}
        for (a, _), (b, _), same in pairs:
            for one, other in {(first, second), (second, first)}:
                found[same].append(float(np.linalg.norm(a[one] - b[other])))
        genuine, impostor = np.array(found[True]), np.array(found[False])
        refused = " / ".join(f"{100 * (genuine > t).mean():.1f}" for t in THRESHOLDS)
        accepted = " / ".join(f"{100 * (impostor <= t).mean():.2f}" for t in THRESHOLDS)
        middle = f"{np.median(genuine):.3f} / {genuine.max():.3f} | {impostor.min():.3f}"
        print(f"| {first}, {second} | {middle} | {refused} % | {accepted} % |")


def tell_rolls(seen: Iterable[Seen]) -> None:
    print("| roll, degrees | photos | dlib to ssd: median / p95 | dlib to tiny: median / p95 |")
    print("| --- | --- | --- | --- |")
    for low, high in pairwise(ROLLS):
        tell_row(f"{low} to {high}", [descriptors for descriptors, turned in seen if low <= turned < high])


def tell_turned(engines: dict[str, Engine], upright: list[Path], run: Callable[..., Iterable[Seen]]) -> None:
    print("| upright photos turned by | photos | dlib to ssd: median / p95 | dlib to tiny: median / p95 |")
    print("| --- | --- | --- | --- |")
    for degrees in TURNS:
        seen = run(partial(look, engines, clockwise=degrees), upright)
        tell_row(f"{degrees}", [descriptors for descriptors, _ in seen if len(descriptors) == len(engines)])


def tell_row(name: str, found: list[dict[str, npt.NDArray[np.float32]]]) -> None:
    cells = []
    for engine in ("ssd", "tiny"):
        apart = [np.linalg.norm(one["dlib"] - one[engine]) for one in found]
        cells.append(f"{np.median(apart):.3f} / {np.quantile(apart, 0.95):.3f}" if apart else "-")
    print(f"| {name} | {len(found)} | {' | '.join(cells)} |")


def main(most: int) -> None:
    if not (MODELS.is_dir() and LFW.is_dir()):
        sys.exit("It needs ../shared/data/lfw-view1, and face-api.js: make faceapi")
    engines: dict[str, Engine] = {
        "dlib": DlibEngine(find_weights()),
        "ssd": FaceapiEngine(MODELS),
        "tiny": FaceapiEngine(MODELS, "tiny"),
    }
    pairs = read_pairs(most)
    photos = sorted({path for first, second, _ in pairs for path in (first, second)})
    with ThreadPoolExecutor(2) as pool:
        seen = dict(zip(photos, pool.map(partial(look, engines), photos), strict=True))
    for name in engines:
        missed = sum(name not in descriptors for descriptors, _ in seen.values())
        print(f"{name} finds no face in {missed} of {len(photos)} photos.")
    found = {path: one for path, one in seen.items() if len(one[0]) == len(engines)}
    whole = [(found[a], found[b], same) for a, b, same in pairs if a in found and b in found]
    genuine = sum(same for _, _, same in whole)
    print(f"Where all find one: {genuine} pairs of one person, {len(whole) - genuine} of two.\n")
    tell_pairs(whole)
    print()
    tell_rolls(list(found.values()))
    print()
    upright = [path for path, (_, turned) in found.items() if turned < ROLLS[1]]
    with ThreadPoolExecutor(2) as pool:
        tell_turned(engines, upright[:: max(1, len(upright) // 60)], pool.map)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="how many pairs (default 1000)")
    main(parser.parse_args().pairs)
