"""Members, their other photos and strangers, drawn from lfw-view1 by person: what each rule lets in, and whom.

    python -m benchmarks.open_set [--seeds 20] [--descriptors FILE.npz]

Each gallery has one photo a member; the members' other photos are to be identified, everybody else's are strangers.
Members and strangers are drawn anew for each seed. Faces are found as FACE128_DETECTION=exact finds them; of several
that nearest the middle of the photo, as LFW means it. ``--descriptors`` keeps them for the next time.
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
WANTED = (0.001, 0.01, 0.05)


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
"""Of distances to the members, (probes, members) ascending."""


@dataclass(frozen=True)
class Split:
    """A gallery of one photo a member, the members' other photos, and strangers: rows of the descriptors."""

    gallery: npt.NDArray[np.intp]
    photos: npt.NDArray[np.intp]
    whose: npt.NDArray[np.intp]
    """Of each photo, its member's place in the gallery."""
    strangers: npt.NDArray[np.intp]


def split(names: npt.NDArray[np.str_], members: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    people = random.permutation(np.unique(names))
    own = [random.permutation(np.flatnonzero(names == name)) for name in people[:members]]
    whose = np.repeat(np.arange(members), [len(rows) - 1 for rows in own])
    gallery, photos = np.array([rows[0] for rows in own]), np.concatenate([rows[1:] for rows in own])
    return Split(gallery, photos, whose, np.flatnonzero(np.isin(names, people[members:])))


def at_equal_fpir(vectors: Array, drawn: Split) -> dict[str, list[float]]:
    """By score: the share identified where the cut lets in exactly so many strangers (which nobody could know)."""
    photos, strangers = (_distances(vectors, rows, drawn.gallery) for rows in (drawn.photos, drawn.strangers))
    right = photos.argmin(1) == drawn.whose
    photos, strangers = np.sort(photos, 1), np.sort(strangers, 1)
    found = {}
    for name, score in SCORES.items():
        scores, cuts = score(photos), np.quantile(score(strangers), WANTED, method="lower")
        found[name] = [float((right & (scores <= cut)).mean()) for cut in cuts]
    return found


def by_rule(vectors: Array, drawn: Split) -> dict[str, list[float]]:
    """By rule: FPIR and share identified, with nothing known but the gallery."""
    cohort = Cohort.of(vectors[drawn.gallery], np.arange(len(drawn.gallery)), "euclidean")
    photos, strangers = (_distances(vectors, rows, drawn.gallery) for rows in (drawn.photos, drawn.strangers))
    right = photos.argmin(1) == drawn.whose
    found = {}

    def add(name: str, photos_in: npt.NDArray[np.bool_], strangers_in: npt.NDArray[np.bool_]) -> None:
        found[name] = [float(strangers_in.mean()), float((photos_in & right).mean())]

    add("threshold 0.38", photos.min(1) <= 0.38, strangers.min(1) <= 0.38)
    (risks, without), (other_risks, others_without) = (_risks(cohort, away) for away in (photos, strangers))
    photos_near, strangers_near = photos.min(1) <= DLIB.cohort_cap, strangers.min(1) <= DLIB.cohort_cap
    for alpha in WANTED:
        if cohort.member_count >= members_needed(alpha):
            add(f"cohort, alpha {alpha:g}", (risks <= alpha) & photos_near, (other_risks <= alpha) & strangers_near)
            name = f"the same, were the probe left out of the crowd, {alpha:g}"
            add(name, (without <= alpha) & photos_near, (others_without <= alpha) & strangers_near)
    return found


def _risks(cohort: Cohort, distances: Array) -> tuple[Array, Array]:
    """Of each probe, stranger_risk; and what it would be if the probe did not join the crowd."""
    every, risks, without = np.arange(cohort.member_count), [], []
    for away in distances:
        standing = cohort.conformal_score(every, away)
        assert standing is not None
        risks.append(standing.stranger_risk)
        without.append((1 + np.count_nonzero(cohort.scores <= standing.score)) / (cohort.member_count + 1))
    return np.array(risks), np.array(without)


def _distances(vectors: Array, rows: npt.NDArray[np.intp], gallery: npt.NDArray[np.intp]) -> Array:
    return np.array([approximate_distances(vectors[gallery], vectors[row], "euclidean") for row in rows])


def encode(files: Sequence[Path], detection: Literal["fast", "exact"] = "exact") -> tuple[Array, npt.NDArray[np.str_]]:
    """A descriptor of each photo with a face, and whose it is: the name of its folder."""
    engine, limits = DlibEngine(find_weights(), detection=detection), Limits(12 * 2**20, 50_000_000)

    def describe(file: Path) -> npt.NDArray[np.float32] | None:
        photo = open_photo(file.read_bytes(), limits)
        middle = np.array([photo.width, photo.height])
        faces = sorted(engine.detect(photo), key=lambda f: np.abs(np.add(f.box[:2], f.box[2:]) - middle).sum())
        return engine.describe(engine.crop(photo, faces[:1]))[0] if faces else None

    with ThreadPoolExecutor() as pool:
        described = list(pool.map(describe, files))
    found = [(d, file.parent.name) for d, file in zip(described, files, strict=True) if d is not None]
    return np.array([d for d, _ in found], np.float64), np.array([name for _, name in found])


def table(found: list[dict[str, list[float]]], columns: list[str]) -> None:
    """The means over the seeds, in percent, and the standard error of the last column."""
    print(f"{'':55}" + "".join(f"{column:>16}" for column in [*columns, "± of the last"]))
    for name in found[0]:
        values = 100 * np.array([each[name] for each in found])
        error = values[:, -1].std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{name:55}" + "".join(f"{value:15.2f}%" for value in values.mean(axis=0)) + f"{error:15.2f}%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="galleries of each size (default 20)")
    parser.add_argument("--descriptors", type=Path, help="where to keep the descriptors, or to find them")
    options = parser.parse_args()
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is not here.")
    if options.descriptors and options.descriptors.exists():
        vectors, names = (np.load(options.descriptors)[key] for key in ("vectors", "names"))
    else:
        vectors, names = encode(sorted(LFW.rglob("*.jpg")))
        if options.descriptors:
            np.savez(options.descriptors, vectors=vectors, names=names)
    print(f"{len(vectors)} photos of {len(np.unique(names))} people, {options.seeds} galleries of each size")
    for members in SIZES:
        drawn = [split(names, members, seed) for seed in range(options.seeds)]
        print(f"\n{members} members. Identified at an FPIR of exactly:")
        table([at_equal_fpir(vectors, each) for each in drawn], [f"{share:.1%}" for share in WANTED])
        print()
        table([by_rule(vectors, each) for each in drawn], ["FPIR", "identified"])


if __name__ == "__main__":
    main()
