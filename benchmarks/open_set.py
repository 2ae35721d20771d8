"""Open-set identification on lfw-view1: FPIR and share identified of the cohort rule, thresholds and other scores.

    python -m benchmarks.open_set [--seeds 20] [--descriptors FILE.npz]

Each gallery has one photo per member. The probes are the members' other photos, and the photos of strangers. Each seed
draws other members and strangers. Faces are detected as with FACE128_DETECTION=exact; of several faces the one nearest
the centre of the photo counts, as in LFW's protocol. ``--descriptors`` stores the descriptors for the next run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW
from face128.domain.model_card import DLIB
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.matching.conformal import Cohort, members_needed
from face128.matching.fast_distances import approximate_distances
from face128.photos.photo import Limits, open_photo

Array = npt.NDArray[np.float64]

SIZES = (100, 200, 400, 750)
TARGET_FPIRS = (0.001, 0.01, 0.05)
RISK_NAMES = ("cohort", "cohort without the probe")


def _shuffled(distances: Array) -> Array:
    return np.random.default_rng(0).permuted(distances, axis=1)


SCORES: dict[str, Callable[[Array], Array]] = {
    "distance alone": lambda d: d[:, 0],
    "nearest / second": lambda d: d[:, 0] / d[:, 1],
    **{f"nearest / mean of next {k}": lambda d, k=k: d[:, 0] / d[:, 1 : k + 1].mean(1) for k in (3, 5, 10, 20, 50)},
    "nearest / geometric mean of next 5": lambda d: d[:, 0] / np.exp(np.log(d[:, 1:6]).mean(1)),
    **{f"nearest - mean of next {k}": lambda d, k=k: d[:, 0] - d[:, 1 : k + 1].mean(1) for k in (5, 10, 20)},
    "nearest / mean of 50 at random": lambda d: d[:, 0] / _shuffled(d[:, 1:])[:, :50].mean(1),
}
"""Functions of the ascending distances to the members, (probes, members)."""


@dataclass(frozen=True)
class Draw:
    """Row numbers of the descriptors: one photo per member as gallery, the members' other photos, and strangers."""

    gallery: npt.NDArray[np.intp]
    photos: npt.NDArray[np.intp]
    photo_members: npt.NDArray[np.intp]
    """The index in ``gallery`` of each photo's member."""
    strangers: npt.NDArray[np.intp]


def draw(names: npt.NDArray[np.str_], members: int, seed: int) -> Draw:
    random = np.random.default_rng(seed)
    people = random.permutation(np.unique(names))
    member_rows = [random.permutation(np.flatnonzero(names == name)) for name in people[:members]]
    photo_members = np.repeat(np.arange(members), [len(rows) - 1 for rows in member_rows])
    gallery = np.array([rows[0] for rows in member_rows])
    photos = np.concatenate([rows[1:] for rows in member_rows])
    return Draw(gallery, photos, photo_members, np.flatnonzero(np.isin(names, people[members:])))


def identified_at_fpir(vectors: Array, drawn: Draw) -> dict[str, list[float]]:
    """By score: the share identified at each of TARGET_FPIRS, with the cut chosen on these very strangers."""
    photos, strangers = (_distances(vectors, rows, drawn.gallery) for rows in (drawn.photos, drawn.strangers))
    correct = photos.argmin(1) == drawn.photo_members
    photos, strangers = np.sort(photos, 1), np.sort(strangers, 1)
    identified = {}
    for name, score in SCORES.items():
        scores, cuts = score(photos), np.quantile(score(strangers), TARGET_FPIRS, method="lower")
        identified[name] = [float((correct & (scores <= cut)).mean()) for cut in cuts]
    return identified


def rates_by_rule(vectors: Array, drawn: Draw) -> dict[str, list[float]]:
    """By rule: FPIR and share identified, where the rule knows only the gallery."""
    cohort = Cohort.of(vectors[drawn.gallery], np.arange(len(drawn.gallery)), "euclidean")
    photos, strangers = (_distances(vectors, rows, drawn.gallery) for rows in (drawn.photos, drawn.strangers))
    correct = photos.argmin(1) == drawn.photo_members
    rates = {}

    def add(name: str, photos_accepted: npt.NDArray[np.bool_], strangers_accepted: npt.NDArray[np.bool_]) -> None:
        rates[name] = [float(strangers_accepted.mean()), float((photos_accepted & correct).mean())]

    add("threshold 0.38", photos.min(1) <= 0.38, strangers.min(1) <= 0.38)
    photo_risks, stranger_risks = (_risks(cohort, distances) for distances in (photos, strangers))
    photos_below_cap, strangers_below_cap = photos.min(1) <= DLIB.cohort_cap, strangers.min(1) <= DLIB.cohort_cap
    for alpha in TARGET_FPIRS:
        if cohort.member_count >= members_needed(alpha):
            for name, of_photos, of_strangers in zip(RISK_NAMES, photo_risks, stranger_risks, strict=True):
                photos_accepted = (of_photos <= alpha) & photos_below_cap
                add(f"{name}, alpha {alpha:g}", photos_accepted, (of_strangers <= alpha) & strangers_below_cap)
    return rates


def _risks(cohort: Cohort, distances: Array) -> tuple[Array, Array]:
    """The stranger_risk of each probe, and its value if the probe did not join the cohort: RISK_NAMES."""
    member_ids, risks, risks_without_probe = np.arange(cohort.member_count), [], []
    for probe_distances in distances:
        score = cohort.conformal_score(member_ids, probe_distances)
        assert score is not None
        risks.append(score.stranger_risk)
        not_above = np.count_nonzero(cohort.scores <= score.score)
        risks_without_probe.append((1 + not_above) / (cohort.member_count + 1))
    return np.array(risks), np.array(risks_without_probe)


def _distances(vectors: Array, rows: npt.NDArray[np.intp], gallery: npt.NDArray[np.intp]) -> Array:
    return np.array([approximate_distances(vectors[gallery], vectors[row], "euclidean") for row in rows])


def describe_faces(
    files: Sequence[Path], detection: Literal["fast", "exact"] = "exact"
) -> tuple[Array, npt.NDArray[np.str_]]:
    """The descriptor of each photo with a face, and the person: the name of its folder."""
    engine, limits = DlibEngine(find_weights(), detection=detection), Limits(12 * 2**20, 50_000_000)

    def describe(file: Path) -> npt.NDArray[np.float32] | None:
        photo = open_photo(file.read_bytes(), limits)
        size = np.array([photo.width, photo.height])
        faces = sorted(engine.detect(photo), key=lambda f: np.abs(np.add(f.box[:2], f.box[2:]) - size).sum())
        return engine.describe(engine.crop(photo, faces[:1]))[0] if faces else None

    with ThreadPoolExecutor() as pool:
        described = list(pool.map(describe, files))
    with_face = [(d, file.parent.name) for d, file in zip(described, files, strict=True) if d is not None]
    return np.array([d for d, _ in with_face], np.float64), np.array([name for _, name in with_face])


def print_table(results: list[dict[str, list[float]]], columns: list[str]) -> None:
    """Print the means over the seeds, in percent, and the standard error of the last column."""
    print(f"{'':55}" + "".join(f"{column:>16}" for column in [*columns, "± of the last"]))
    for name in results[0]:
        values = 100 * np.array([each[name] for each in results])
        error = values[:, -1].std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{name:55}" + "".join(f"{value:15.2f}%" for value in values.mean(axis=0)) + f"{error:15.2f}%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="galleries of each size (default 20)")
    parser.add_argument(
        "--descriptors", type=Path, help="read the descriptors from this file; write it if it does not exist"
    )
    options = parser.parse_args()
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is missing.")
    if options.descriptors and options.descriptors.exists():
        vectors, names = (np.load(options.descriptors)[key] for key in ("vectors", "names"))
    else:
        vectors, names = describe_faces(sorted(LFW.rglob("*.jpg")))
        if options.descriptors:
            np.savez(options.descriptors, vectors=vectors, names=names)
    print(f"{len(vectors)} photos of {len(np.unique(names))} people, {options.seeds} galleries of each size")
    for members in SIZES:
        drawn = [draw(names, members, seed) for seed in range(options.seeds)]
        print(f"\n{members} members. Identified at an FPIR of exactly:")
        print_table([identified_at_fpir(vectors, each) for each in drawn], [f"{share:.1%}" for share in TARGET_FPIRS])
        print()
        print_table([rates_by_rule(vectors, each) for each in drawn], ["FPIR", "identified"])


if __name__ == "__main__":
    main()
