"""Open-set identification on lfw-view1: FPIR and share identified of the cohort rule, thresholds and other scores.

    python -m benchmarks.open_set [--seeds 20] [--passes mirror] [--descriptors FILE.npz]

Each gallery has one photo per member. The probes are the members' other photos, and the photos of strangers. Each seed
draws other members and strangers. Faces are detected as with FACE128_DETECTION=exact; of several faces the one nearest
the centre of the photo counts, as in LFW's protocol. ``--descriptors`` stores the descriptors for the next run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt

from benchmarks.lfw_descriptors import Array, add_descriptor_options, lfw_descriptors
from face128.domain.decision_rule import Rule, Tail
from face128.domain.model_card import DLIB
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import Cohort
from face128.matching.fast_distances import approximate_distances
from face128.matching.outcome import NEARLY_AS_NEAR
from face128.matching.tails import members_needed

Mask = npt.NDArray[np.bool_]

SIZES = (30, 40, 100, 200, 400, 750)
TARGET_FPIRS = (0.001, 0.01, 0.05)
ALPHAS = (0.05, 0.01, 0.001)
ALPHAS_BY_SIZE = {30: (0.05, 0.02), 40: (0.05, 0.02)}
ESTIMATE_ALPHA_BY_SIZE = {30: 0.02, 40: 0.02}


def _shuffled(distances: Array) -> Array:
    return np.random.default_rng(0).permuted(distances, axis=1)


def _by_crowd(distances: Array, _: Array, size: int) -> Array:
    return np.asarray(distances[:, 0] / distances[:, 1 : size + 1].mean(1))


SCORES: dict[str, Callable[[Array, Array], Array]] = {
    "distance alone": lambda d, _: d[:, 0],
    "nearest / length": lambda d, length: d[:, 0] / length,
    "nearest / second": lambda d, _: d[:, 0] / d[:, 1],
    **{f"nearest / mean of next {k}": partial(_by_crowd, size=k) for k in (3, 5, 10, 20)},
    "nearest / sqrt(mean of next 5)": lambda d, _: d[:, 0] / np.sqrt(d[:, 1:6].mean(1)),
    "nearest / sqrt(mean of next 5 * length)": lambda d, length: d[:, 0] / np.sqrt(d[:, 1:6].mean(1) * length),
    "nearest - mean of next 10": lambda d, _: d[:, 0] - d[:, 1:11].mean(1),
    "nearest / mean of 30 at random": lambda d, _: d[:, 0] / _shuffled(d[:, 1:])[:, :30].mean(1),
}
"""Functions of the ascending distances to the members, (probes, members), and of the descriptors' lengths."""


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
    rows = drawn.photos, drawn.strangers
    photos, strangers = (_distances(vectors[each], vectors[drawn.gallery]) for each in rows)
    lengths = [descriptor_lengths(vectors[each], "euclidean") for each in rows]
    correct = photos.argmin(1) == drawn.photo_members
    photos, strangers = np.sort(photos, 1), np.sort(strangers, 1)
    identified = {}
    for name, score in SCORES.items():
        scores = score(photos, lengths[0])
        cuts = np.quantile(score(strangers, lengths[1]), TARGET_FPIRS, method="lower")
        identified[name] = [float((correct & (scores <= cut)).mean()) for cut in cuts]
    return identified


def rates_by_rule(vectors: Array, drawn: Draw, *alphas: float) -> dict[str, list[float]]:
    """By rule: FPIR and share identified, where the rule knows only the gallery; and the share that distance alone and
    the distance of unit vectors identify at that FPIR.
    """
    gallery, photos, strangers = (vectors[rows] for rows in (drawn.gallery, drawn.photos, drawn.strangers))
    cohort = Cohort.of(gallery, np.arange(len(gallery)), "euclidean")
    of_photos, of_strangers = _distances(photos, gallery), _distances(strangers, gallery)
    correct = of_photos.argmin(1) == drawn.photo_members
    nearest, nearest_of_strangers = of_photos.min(1), of_strangers.min(1)
    by_unit = [_distances(_unit(probes), _unit(gallery)) for probes in (photos, strangers)]
    unit_correct = by_unit[0].argmin(1) == drawn.photo_members
    rates = {}

    def add(name: str, accepted: Mask, strangers_accepted: Mask) -> None:
        fpir = float(strangers_accepted.mean())
        alone = nearest <= np.quantile(nearest_of_strangers, fpir)
        unit = by_unit[0].min(1) <= np.quantile(by_unit[1].min(1), fpir)
        shares = (accepted & correct).mean(), (alone & correct).mean(), (unit & unit_correct).mean()
        rates[name] = [fpir, *map(float, shares)]

    add("threshold 0.38", nearest <= 0.38, nearest_of_strangers <= 0.38)
    for tail in get_args(Tail):
        served = [alpha for alpha in alphas if cohort.member_count >= members_needed(Rule("cohort", alpha, tail))]
        if not served:
            continue
        risks, stranger_risks = (
            _risks(cohort, *probes, tail) for probes in ((photos, of_photos), (strangers, of_strangers))
        )
        for alpha in served:
            accepted = (risks <= alpha) & (nearest <= DLIB.cohort_cap)
            strangers_accepted = (stranger_risks <= alpha) & (nearest_of_strangers <= DLIB.cohort_cap)
            add(f"{tail}, alpha {alpha:g}", accepted, strangers_accepted)
    return rates


def rates_by_verdict(vectors: Array, drawn: Draw, alpha: float) -> dict[str, list[float]]:
    """FPIR, and the shares of photos that get the wrong and the right member: by the estimate, and if a match that the
    runner-up nearly shares is no match.
    """
    gallery, rates = vectors[drawn.gallery], {}
    cohort = Cohort.of(gallery, np.arange(len(gallery)), "euclidean")
    accepted, clear = [], []
    for probes in (vectors[drawn.strangers], vectors[drawn.photos]):
        apart = _distances(probes, gallery)
        nearest, second = np.sort(apart, 1)[:, :2].T
        accepted.append((_risks(cohort, probes, apart, "estimate") <= alpha) & (nearest <= DLIB.cohort_cap))
        clear.append(nearest < NEARLY_AS_NEAR * second)
    right = _distances(vectors[drawn.photos], gallery).argmin(1) == drawn.photo_members
    for name, kept in (("every match", [True, True]), ("those with the verdict yes", clear)):
        strangers, photos = (each & also for each, also in zip(accepted, kept, strict=True))
        rates[name] = [float(share.mean()) for share in (strangers, photos & ~right, photos & right)]
    return rates


def cost_of_a_pair(vectors: Array, drawn: Draw, alpha: float) -> list[float]:
    """FPIR and share identified by the estimate, without and with one member enrolled twice, under two regNos.

    The second descriptor is another photo of this member, whose photos are no probes then.
    """
    member = int(drawn.photo_members[0])
    rest = drawn.photo_members != member
    single = replace(drawn, photos=drawn.photos[rest], photo_members=drawn.photo_members[rest])
    twice = replace(single, gallery=np.append(drawn.gallery, drawn.photos[~rest][0]))
    name = f"estimate, alpha {alpha:g}"
    return [rate for each in (single, twice) for rate in rates_by_rule(vectors, each, alpha)[name][:2]]


def _risks(cohort: Cohort, probes: Array, member_distances: Array, tail: Tail) -> Array:
    """The stranger_risk of each probe."""
    member_ids, lengths = np.arange(cohort.member_count), descriptor_lengths(probes, "euclidean")
    scores = [
        cohort.score(member_ids, of_probe, float(length), tail)
        for of_probe, length in zip(member_distances, lengths, strict=True)
    ]
    return np.array([1.0 if score is None else score.stranger_risk for score in scores])


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _distances(probes: Array, gallery: Array) -> Array:
    return np.array([approximate_distances(gallery, probe, "euclidean") for probe in probes])


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
    add_descriptor_options(parser)
    options = parser.parse_args()
    vectors, names = lfw_descriptors(options)
    print(f"{len(vectors)} photos of {len(np.unique(names))} people, {options.seeds} galleries of each size")
    for members in SIZES:
        drawn = [draw(names, members, seed) for seed in range(options.seeds)]
        print(f"\n{members} members. Identified at an FPIR of exactly:")
        print_table([identified_at_fpir(vectors, each) for each in drawn], [f"{share:.1%}" for share in TARGET_FPIRS])
        print("\nThe rules; and what distance alone and the distance of unit vectors identify at that FPIR:")
        alphas = ALPHAS_BY_SIZE.get(members, ALPHAS)
        columns = ["FPIR", "identified", "distance", "unit"]
        print_table([rates_by_rule(vectors, each, *alphas) for each in drawn], columns)
        alpha = ESTIMATE_ALPHA_BY_SIZE.get(members, 0.01)
        print(f"\nThe estimate, alpha {alpha:.0%}:")
        print_table([rates_by_verdict(vectors, each, alpha) for each in drawn], ["FPIR", "wrong", "identified"])
        pairs = [{f"the estimate, alpha {alpha:.0%}": cost_of_a_pair(vectors, each, alpha)} for each in drawn]
        print("\nOne member enrolled twice:")
        print_table(pairs, ["FPIR before", "ident. before", "FPIR after", "ident. after"])


if __name__ == "__main__":
    main()
