"""What the quality's verdicts and reasons are worth, on lfw-view1 and on degraded copies of its photos.

    python -m benchmarks.quality [--photos 300] [--strip]

Prints the false non-match rate (FNMR) by verdict, the FNMR of degraded copies, how many copies have the right reason,
and the time that the measures take. ``--strip`` draws docs/quality.jpg instead, from the photos of fixtures/.

The threshold is where 0.1 % of all pairs of different people match. A pair's verdict is the worse one of its photos. Of
several faces the one nearest the centre counts, as in LFW's protocol.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from benchmarks import degrading
from benchmarks.degrading import Degrade
from benchmarks.harness import LFW, ROOT
from benchmarks.photos import portraits
from face128.encoding.encode import encode, find_faces
from face128.encoding.quality import VERDICTS, Quality, assess
from face128.engines.base import Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.jobs.calibrate.photo_pairs import read_pairs
from face128.photos.photo import Limits, Photo

FAR = 0.001
FOLDS = 5
SIZE = 150  # of a picture in the strip, in pixels

COPIES: list[tuple[str, str, Degrade]] = [
    *(
        (f"blur {share:g} of the eye distance", "blurred", degrading.blurred(share))
        for share in (0.025, 0.037, 0.05, 0.07)
    ),
    *((f"brightness {gain:.0%}", "too_dark", degrading.exposed(gain)) for gain in (0.5, 0.25, 0.1)),
    *((f"brightness {gain:.0%}", "too_bright", degrading.exposed(gain)) for gain in (1.5, 2, 2.5)),
    *((f"haze {1 - share:.0%}", "low_contrast", degrading.hazy(share)) for share in (0.5, 0.3, 0.15)),
    *((f"eye distance {px} pixels", "too_small", degrading.shrunk(px)) for px in (24, 20, 16, 13)),
    *(
        (f"turned further by {degrees} degrees", "turned_away", degrading.turned_further(degrees))
        for degrees in (10, 20, 30)
    ),
    *((f"lifted by {degrees} degrees", "turned_away", degrading.turned(degrees, up=True)) for degrees in (15, 25)),
    *((f"tilted by {degrees} degrees", "tilted", degrading.tilted(degrees)) for degrees in (10, 20, 30)),
    *((f"{share:.0%} of the face's box cut off", "cut_off", degrading.cut(share)) for share in (0, 0.1, 0.2)),
]
"""A degraded copy, and the reason that it must have (the mildest ones of a kind need not)."""


class Faces:
    """The descriptors, the quality and the face of every photo with a face."""

    def __init__(self, engine: DlibEngine, files: Sequence[Path]) -> None:
        self.engine = engine
        self.files: list[Path] = []
        self.faces: list[Face] = []
        self.quality: list[Quality] = []
        descriptors = []
        for file in files:
            described = self.describe(np.asarray(Image.open(file).convert("RGB")))
            if described:
                self.files.append(file)
                descriptor, face, quality = described
                descriptors.append(descriptor)
                self.faces.append(face)
                self.quality.append(quality)
        self.descriptors = np.array(descriptors, np.float64)
        self.index = {file: i for i, file in enumerate(self.files)}

    def describe(self, rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], Face, Quality] | None:
        photo = Photo.from_rgb(rgb)
        faces = self.engine.detect(photo)
        if not faces:
            return None
        face = min(faces, key=lambda face: np.hypot(*(np.add(face.box[:2], face.box[2:]) - rgb.shape[1::-1])))
        descriptor = self.engine.describe(self.engine.crop(photo, [face]))[0]
        return descriptor, face, assess(photo, face)

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        return np.asarray(Image.open(self.files[index]).convert("RGB"))


def impostor_threshold(faces: Faces, chosen: npt.NDArray[np.bool_]) -> float:
    """The distance below which FAR of all pairs of different people among the chosen photos are."""
    vectors = faces.descriptors[chosen]
    _, people = np.unique(
        [file.parent.name for file, own in zip(faces.files, chosen, strict=True) if own], return_inverse=True
    )
    norms = np.vecdot(vectors, vectors)
    first, second = np.triu_indices(len(vectors), 1)
    squares = (norms[:, None] + norms - 2 * vectors @ vectors.T)[first, second][people[first] != people[second]]
    return float(np.sqrt(np.quantile(np.maximum(squares, 0), FAR)))


def fnmr_by_verdict(faces: Faces, pairs: npt.NDArray[np.intp]) -> None:
    """Print the FNMR of the pairs by verdict, with a threshold from the four other fifths of the people."""
    people = np.array([file.parent.name for file in faces.files])
    names = np.unique(people)
    folds = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([folds[name] for name in people])
    rank = np.array([VERDICTS.index(quality.verdict) for quality in faces.quality])
    worst = np.minimum(rank[pairs[:, 0]], rank[pairs[:, 1]])
    distances = np.linalg.norm(faces.descriptors[pairs[:, 0]] - faces.descriptors[pairs[:, 1]], axis=1)
    thresholds = np.array([impostor_threshold(faces, fold != k) for k in range(FOLDS)])
    missed = distances > thresholds[fold[pairs[:, 0]]]
    print(f"{len(pairs)} pairs of one person; thresholds {thresholds.min():.3f} to {thresholds.max():.3f}")
    print("| verdict | photos | pairs | FNMR | of each fold |\n| --- | --- | --- | --- | --- |")
    for verdict in reversed(VERDICTS):
        level = VERDICTS.index(verdict)
        of_folds = [missed[(worst == level) & (fold[pairs[:, 0]] == k)].mean() for k in range(FOLDS)]
        rates = ", ".join(f"{rate:.1%}" for rate in of_folds)
        chosen = worst == level
        print(f"| {verdict} | {(rank == level).mean():.0%} | {chosen.sum()} | {missed[chosen].mean():.1%} | {rates} |")


def same_person_pairs(faces: Faces) -> npt.NDArray[np.intp]:
    listed = [pair for pair in read_pairs(LFW.parent / "pairs.txt", LFW) if pair.same]
    index = faces.index
    return np.array([(index[p.first], index[p.second]) for p in listed if p.first in index and p.second in index])


def degraded(faces: Faces, pairs: npt.NDArray[np.intp]) -> None:
    """Print the FNMR with the second photo of each pair degraded, and how many copies have the right reason."""
    threshold = impostor_threshold(faces, np.ones(len(faces.files), bool))
    print("| copy | no face | FNMR | reason | fair or poor for it | poor |\n| --- | --- | --- | --- | --- | --- |")
    for name, reason, degrade in [("as it is", "", lambda rgb, _: rgb), *COPIES]:
        outcomes = list(_copies(faces, pairs, degrade))
        found = [outcome for outcome in outcomes if outcome]
        fnmr = np.mean([distance > threshold for distance, _ in found])
        right = np.mean([reason in quality.reasons for _, quality in found])
        poor = np.mean([quality.verdict == "poor" for _, quality in found])
        print(f"| {name} | {1 - len(found) / len(outcomes):.1%} | {fnmr:.1%} | {reason} | {right:.1%} | {poor:.1%} |")


def _copies(faces: Faces, pairs: npt.NDArray[np.intp], degrade: Degrade) -> Iterator[tuple[float, Quality] | None]:
    """The distance of each pair and the quality of its second photo, degraded; None where no face is found."""
    for first, second in pairs:
        described = faces.describe(np.ascontiguousarray(degrade(faces.pixels(second), faces.faces[second])))
        yield described and (float(np.linalg.norm(faces.descriptors[first] - described[0])), described[2])


def cost(engine: DlibEngine) -> None:
    """Print the processor time of /encode-image's work with and without the measures, in turns."""
    data = portraits(1.0)[-1]
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(80):
        start = time.thread_time()
        encode(engine, data, Limits(), "one", 1, None, turn % 2 == 1)
        times[turn % 2 == 1].append(time.thread_time() - start)
    photo, (face,) = find_faces(engine, data, Limits())
    assess(photo, face)
    start = time.thread_time()
    for _ in range(100):
        assess(photo, face)
    alone = 10 * (time.thread_time() - start)
    without, with_measures = (1000 * median(times[key]) for key in (False, True))
    print(
        f"{photo.width} x {photo.height}: {without:.1f} ms, with quality {with_measures:.1f} ms; alone {alone:.2f} ms"
    )


def draw_strip(engine: DlibEngine, out: Path) -> None:
    """Draw copies of public-domain portraits, each with the verdict that it gets."""
    photos = ROOT / "fixtures" / "photos"
    rows: list[tuple[str, Degrade]] = [
        ("obama-2012.jpg", lambda rgb, _: rgb),
        ("hopper-1984.jpg", degrading.shrunk(14)),
        ("obama-2012.jpg", degrading.blurred(0.09)),
        ("hopper-1984.jpg", degrading.exposed(0.3)),
        ("obama-2012.jpg", degrading.exposed(2.2)),
        ("hopper-1984.jpg", degrading.hazy(0.2)),
        ("obama-2012.jpg", degrading.turned(33)),
        ("hopper-1984.jpg", degrading.tilted(24)),
        ("obama-2012.jpg", degrading.cut(0.22)),
    ]
    strip = Image.new("RGB", (len(rows) * (SIZE + 4) - 4, SIZE + 40), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(14)
    for column, (name, degrade) in enumerate(rows):
        rgb = np.asarray(Image.open(photos / name).convert("RGB"))
        (face,) = engine.detect(Photo.from_rgb(rgb))
        copy = Photo.from_rgb(np.ascontiguousarray(degrade(rgb, face)))
        (face,) = engine.detect(copy)
        quality = assess(copy, face)
        left, top, right, bottom = face.box
        around = (right - left) // 2
        box = (max(0, left - around), max(0, top - around), right + around, bottom + around)
        tile = Image.fromarray(copy.rgb()).crop(box).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        x = column * (SIZE + 4)
        strip.paste(tile, (x, 0))
        pen.text((x + 2, SIZE + 2), quality.verdict, "black", font)
        pen.text((x + 2, SIZE + 20), ", ".join(quality.reasons), "black", font)
    strip.save(out, quality=85)
    print(f"{out.name}: {out.stat().st_size // 1024} KiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300, help="pairs whose second photo is degraded (default 300)")
    parser.add_argument("--strip", action="store_true", help="draw docs/quality.jpg instead")
    options = parser.parse_args()
    engine = DlibEngine(find_weights())
    if options.strip:
        draw_strip(engine, ROOT / "docs" / "quality.jpg")
        return
    cost(engine)
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is missing.")
    faces = Faces(engine, sorted(LFW.rglob("*.jpg")))
    pairs = same_person_pairs(faces)
    fnmr_by_verdict(faces, pairs)
    print(Counter(reason for quality in faces.quality for reason in quality.reasons))
    degraded(faces, np.random.default_rng(0).permutation(pairs)[: options.photos])


if __name__ == "__main__":
    main()
