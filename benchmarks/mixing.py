"""Error rates of comparing dlib's descriptors with face-api.js's, on the labelled pairs of ../shared/data/lfw-view1.

    make faceapi && python benchmarks/mixing.py [--pairs 1000]

Prints the tables of docs/face-api.md: false rejections and false acceptances at three thresholds, with both descriptors
of a pair from one model or from two; and the distance between the two models' descriptors of one photo, by head roll.
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
ROLL_BOUNDS_DEGREES = (0, 3, 6, 10, 15, 25, 180)
ROTATIONS_DEGREES = (0, 10, 20, 30)
UPRIGHT_PHOTOS = 60
MODEL_PAIRS = (("dlib", "dlib"), ("ssd", "ssd"), ("tiny", "tiny"), ("dlib", "ssd"), ("dlib", "tiny"), ("ssd", "tiny"))

DescribedPhoto = tuple[dict[str, npt.NDArray[np.float32]], float]
"""The descriptors of a photo by engine, and the roll of the head in degrees by dlib's landmarks."""


def read_pairs(max_pairs: int) -> list[tuple[Path, Path, bool]]:
    pairs = []
    for line in (LFW / "pairs.txt").read_text().splitlines():
        parts = line.split()
        if len(parts) == 3:
            parts.insert(2, parts[0])
        if len(parts) == 4:
            first, second = (LFW / "images" / name / f"{name}_{int(n):04}.jpg" for name, n in (parts[:2], parts[2:]))
            pairs.append((first, second, parts[0] == parts[2]))
    return pairs[:: max(1, len(pairs) // max_pairs)]


def describe_central_face(engines: dict[str, Engine], path: Path, clockwise: int = 0) -> DescribedPhoto:
    """Describe the face nearest the centre with each engine that finds one; ``clockwise`` rotates the photo first."""
    photo = open_photo(path.read_bytes())
    if clockwise:
        rotated = Image.fromarray(photo.rgb()).rotate(-clockwise, Image.Resampling.BICUBIC)
        photo = Photo.from_rgb(np.asarray(rotated))
    centre = np.array([photo.width, photo.height]) / 2
    descriptors, roll = {}, 0.0
    for name, engine in engines.items():
        faces = engine.detect(photo)
        if faces:
            central = min(faces, key=lambda face: np.linalg.norm(np.reshape(face.box, (2, 2)).mean(0) - centre))
            descriptors[name] = engine.describe(engine.crop(photo, [central]))[0]
            roll = abs(central.roll_degrees or 0.0) if name == "dlib" else roll
    return descriptors, roll


def print_pair_table(pairs: Iterable[tuple[DescribedPhoto, DescribedPhoto, bool]]) -> None:
    thresholds = " / ".join(map(str, THRESHOLDS))
    print("| enrolled, seen | one person: median / max | two: min ", end="")
    print(f"| refused wrongly at {thresholds} | accepted wrongly at {thresholds} |")
    print("| --- | --- | --- | --- | --- |")
    for first, second in MODEL_PAIRS:
        distances: dict[bool, list[float]] = {True: [], False: []}
        for (a, _), (b, _), same in pairs:
            for one, other in {(first, second), (second, first)}:
                distances[same].append(float(np.linalg.norm(a[one] - b[other])))
        genuine, impostor = np.array(distances[True]), np.array(distances[False])
        refused = " / ".join(f"{100 * (genuine > t).mean():.1f}" for t in THRESHOLDS)
        accepted = " / ".join(f"{100 * (impostor <= t).mean():.2f}" for t in THRESHOLDS)
        spread = f"{np.median(genuine):.3f} / {genuine.max():.3f} | {impostor.min():.3f}"
        print(f"| {first}, {second} | {spread} | {refused} % | {accepted} % |")


def print_roll_table(photos: Iterable[DescribedPhoto]) -> None:
    print("| roll, degrees | photos | dlib to ssd: median / p95 | dlib to tiny: median / p95 |")
    print("| --- | --- | --- | --- |")
    for low, high in pairwise(ROLL_BOUNDS_DEGREES):
        print_row(f"{low} to {high}", [descriptors for descriptors, roll in photos if low <= roll < high])


def print_rotation_table(
    engines: dict[str, Engine], upright: list[Path], run: Callable[..., Iterable[DescribedPhoto]]
) -> None:
    print("| upright photos turned by | photos | dlib to ssd: median / p95 | dlib to tiny: median / p95 |")
    print("| --- | --- | --- | --- |")
    for degrees in ROTATIONS_DEGREES:
        photos = run(partial(describe_central_face, engines, clockwise=degrees), upright)
        print_row(f"{degrees}", [descriptors for descriptors, _ in photos if len(descriptors) == len(engines)])


def print_row(name: str, photos: list[dict[str, npt.NDArray[np.float32]]]) -> None:
    cells = []
    for engine in ("ssd", "tiny"):
        distances = [np.linalg.norm(descriptors["dlib"] - descriptors[engine]) for descriptors in photos]
        cells.append(f"{np.median(distances):.3f} / {np.quantile(distances, 0.95):.3f}" if distances else "-")
    print(f"| {name} | {len(photos)} | {' | '.join(cells)} |")


def main(max_pairs: int) -> None:
    if not (MODELS.is_dir() and LFW.is_dir()):
        sys.exit("This needs ../shared/data/lfw-view1 and face-api.js (make faceapi).")
    engines: dict[str, Engine] = {
        "dlib": DlibEngine(find_weights()),
        "ssd": FaceapiEngine(MODELS),
        "tiny": FaceapiEngine(MODELS, "tiny"),
    }
    pairs = read_pairs(max_pairs)
    photos = sorted({path for first, second, _ in pairs for path in (first, second)})
    with ThreadPoolExecutor(2) as pool:
        described = dict(zip(photos, pool.map(partial(describe_central_face, engines), photos), strict=True))
    for name in engines:
        missed = sum(name not in descriptors for descriptors, _ in described.values())
        print(f"{name} finds no face in {missed} of {len(photos)} photos.")
    complete = {path: photo for path, photo in described.items() if len(photo[0]) == len(engines)}
    complete_pairs = [(complete[a], complete[b], same) for a, b, same in pairs if a in complete and b in complete]
    genuine = sum(same for _, _, same in complete_pairs)
    print(f"Pairs in which all engines find both: {genuine} of one person, {len(complete_pairs) - genuine} of two.\n")
    print_pair_table(complete_pairs)
    print()
    print_roll_table(list(complete.values()))
    print()
    upright = [path for path, (_, roll) in complete.items() if roll < ROLL_BOUNDS_DEGREES[1]]
    with ThreadPoolExecutor(2) as pool:
        print_rotation_table(engines, upright[:: max(1, len(upright) // UPRIGHT_PHOTOS)], pool.map)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="how many pairs (default 1000)")
    main(parser.parse_args().pairs)
