"""Members with equally many photos, and with different numbers of them, on lfw-view1: what each template identifies.

    python -m benchmarks.photo_numbers [--sizes 40 120 200 750] [--draws 200] [--resamples 1000] [--passes mirror]
        [--descriptors FILE.npz]

nearest and mean are the product's templates; "mean" with the law of the estimate that is used from 200 members on, that
of the templates, "photos ask" with the one that is used below: single photos against the templates of the others, as a
stranger's one photo is (face128/matching/asking_photos.py). The others are not in use:

- by number: the mean, each distance times sqrt(1.2 / (1 + 0.2 / photos)), also those between members. Two descriptors
  of two people are sqrt(b + 2w) apart, where w is the variance of one person's photos and b that of people; one and a
  mean of k sqrt(b + w + w / k). On lfw-view1 w / (b + w) is about 0.2.
- by length: the mean, each distance divided by the root of both descriptors' lengths: nearly that at unit length.

"At the cut" is the cohort rule's score, cut where alpha of the strangers pass. The intervals are those of other people:
a bootstrap of the people whose photos are probes. Where too few people have enough photos, others fill the gallery.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.lfw_descriptors import Array, add_descriptor_options, lfw_descriptors
from benchmarks.open_set import Mask
from benchmarks.template_choices import apart
from face128.domain.decision_rule import Tail
from face128.domain.model_card import DLIB
from face128.matching.asking_photos import first_photos
from face128.matching.cohort_score import COHORT_SIZE, cohort_scores, descriptor_lengths
from face128.matching.conformal import Cohort
from face128.matching.tails import GumbelTail, members_for_bound
from face128.matching.templates import templates

People = npt.NDArray[np.intp]
SIZES = (40, 120, 200, 750)
ALPHAS, ALPHA = {40: 0.02}, 0.01
SPREAD = 0.2
BASE = "mean"


@dataclass(frozen=True)
class Gallery:
    """Rows of the descriptors."""

    enrolled: list[People]
    """By member."""
    photos: People
    owners: People
    """(photos,) the member of each."""
    strangers: People


def equally_many(photos: int) -> Callable[[list[People], int, np.random.Generator], list[int]]:
    def numbers(people: list[People], members: int, _: np.random.Generator) -> list[int]:
        people.sort(key=lambda rows: -min(len(rows), photos + 1))  # stable: of equally many photos in random order
        return [min(photos, len(rows)) for rows in people[:members]]

    return numbers


def half_one_half_three(people: list[People], members: int, _: np.random.Generator) -> list[int]:
    three = [rows for rows in people if len(rows) >= 3][: members // 2]
    chosen = {id(rows) for rows in three}
    people.sort(key=lambda rows: (id(rows) not in chosen, -min(len(rows), 2)))
    return [3] * len(three) + [1] * (members - len(three))


def one_to_five(people: list[People], members: int, random: np.random.Generator) -> list[int]:
    people.sort(key=lambda rows: -min(len(rows), 3))
    return [int(random.integers(1, max(1, min(5, len(rows) - 1)) + 1)) for rows in people[:members]]


CASES = {
    "2 photos each": equally_many(2),
    "3 photos each": equally_many(3),
    "half 1, half 3": half_one_half_three,
    "1 to 5": one_to_five,
}


def draw(names: npt.NDArray[np.str_], case: str, members: int, seed: int) -> Gallery:
    random = np.random.default_rng(seed)
    people = [random.permutation(np.flatnonzero(names == name)) for name in random.permutation(np.unique(names))]
    numbers = CASES[case](people, members, random)
    parts = [(rows[:number], rows[number:]) for rows, number in zip(people[:members], numbers, strict=True)]
    owners = np.arange(members).repeat([len(rest) for _, rest in parts])
    return Gallery(
        [own for own, _ in parts],
        np.concatenate([rest for _, rest in parts]),
        owners,
        np.concatenate(people[members:]),
    )


@dataclass(frozen=True)
class Compared:
    """The probes by one template: photos of members, then strangers."""

    to_members: Array
    """(probes, members)"""
    to_rows: Array
    """(probes, rows) the distances to the cohort's rows."""
    cohort: Cohort
    law: GumbelTail


def nearest_six(to_members: Array) -> Array:
    return np.sort(np.partition(to_members, COHORT_SIZE, axis=1)[:, : COHORT_SIZE + 1], axis=1)


def by_template(vectors: Array, between: Array, gallery: Gallery) -> Iterator[tuple[str, Compared]]:
    """``between`` are the distances of all photos, (photos, photos)."""
    members = len(gallery.enrolled)
    probes, rows = np.concatenate([gallery.photos, gallery.strangers]), np.concatenate(gallery.enrolled)
    ids = np.arange(members).repeat([len(own) for own in gallery.enrolled])
    starts, lines = np.flatnonzero(np.diff(ids, prepend=-1)), np.arange(len(rows))

    def without_own(to_members: Array, own: People) -> Array:
        others = to_members.copy()
        others[np.arange(len(own)), own] = np.inf
        return nearest_six(others)

    to_members = np.asarray(np.minimum.reduceat(between[:, rows], starts, axis=1))
    photo_lengths = descriptor_lengths(vectors[rows], DLIB.metric)
    photos = Cohort(ids, without_own(to_members[rows], ids), photo_lengths)
    yield "nearest", Compared(to_members[probes], between[np.ix_(probes, rows)], photos, photos.tail)

    means = templates(vectors[rows], ids, DLIB.metric, DLIB.cohort_cap).vectors
    lengths, to_means = descriptor_lengths(means, DLIB.metric), apart(vectors, means)
    among, one_each = apart(means, means), lines[:members]
    cohort = Cohort(one_each, without_own(among, one_each), lengths)
    yield BASE, Compared(to_means[probes], to_means[probes], cohort, cohort.tail)

    asking = first_photos(ids)
    photos = Cohort(ids[asking], without_own(to_means[rows[asking]], ids[asking]), photo_lengths[asking])
    yield "mean, photos ask", Compared(to_means[probes], to_means[probes], cohort, photos.tail)

    def corrected(of_probes: Array, of_means: Array) -> Compared:
        cohort = Cohort(one_each, without_own(among * of_means * of_means[:, None], one_each), lengths)
        apart_from = to_means[probes] * of_probes[:, None] * of_means
        return Compared(apart_from, apart_from, cohort, cohort.tail)

    by_number = np.sqrt((1 + SPREAD) / (1 + SPREAD / np.bincount(ids)))
    yield "mean, by number", corrected(np.ones(len(probes)), by_number)
    yield "mean, by length", corrected(descriptor_lengths(vectors[probes], DLIB.metric) ** -0.5, lengths**-0.5)


def accepted(compared: Compared, lengths: Array, strangers: int, alpha: float) -> dict[str, Mask]:
    """(probes,) by rule, whether the nearest member is accepted."""
    nearest, members = compared.to_members.min(axis=1), compared.to_members.shape[1]
    scores = cohort_scores(nearest_six(compared.to_members), lengths, members)
    risks = {"estimate": np.array([compared.law.stranger_risk(score) for score in scores.tolist()])}
    exact: Tail = "exact"
    if members >= members_for_bound(alpha):
        rows = np.arange(compared.to_rows.shape[1])
        exactly = [compared.cohort.score(rows, *each, exact) for each in zip(compared.to_rows, lengths, strict=True)]
        risks[exact] = np.array([1.0 if score is None else score.stranger_risk for score in exactly])
    found = {name: (each <= alpha) & (nearest <= DLIB.cohort_cap) for name, each in risks.items()}
    cut = np.quantile(scores[-strangers:], alpha, method="lower")
    return {"at the cut": scores <= cut} | found | {"0.38": nearest <= DLIB.threshold}


@dataclass
class Counts:
    """By person: probes, and those identified."""

    probes: Array
    identified: Array
    fpirs: list[float]


def measured(vectors: Array, people: People, galleries: list[Gallery], alpha: float) -> dict[str, dict[str, Counts]]:
    """By template and rule."""
    between, count = apart(vectors, vectors), int(people.max()) + 1
    found: dict[str, dict[str, Counts]] = {}
    for gallery in galleries:
        probes = np.concatenate([gallery.photos, gallery.strangers])
        lengths, photos = descriptor_lengths(vectors[probes], DLIB.metric), len(gallery.photos)
        for template, compared in by_template(vectors, between, gallery):
            right = compared.to_members[:photos].argmin(axis=1) == gallery.owners
            for rule, passed in accepted(compared, lengths, len(gallery.strangers), alpha).items():
                counts = found.setdefault(template, {}).setdefault(rule, Counts(np.zeros(count), np.zeros(count), []))
                counts.probes += np.bincount(people[gallery.photos], minlength=count)
                counts.identified += np.bincount(people[gallery.photos], right & passed[:photos], minlength=count)
                counts.fpirs.append(float(passed[photos:].mean()))
    return found


def print_case(found: dict[str, dict[str, Counts]], resamples: int) -> None:
    """Identified, the FPIR in brackets, and how much more than by the mean."""
    people = len(next(iter(found[BASE].values())).probes)
    weights = np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), size=resamples)
    for template, by_rule in found.items():
        print(f"  {template:18}", end="")
        for rule, counts in by_rule.items():
            gained = counts.identified - found[BASE][rule].identified
            low, high = np.nanquantile((weights @ gained) / (weights @ counts.probes), (0.025, 0.975))
            share, gain = (each.sum() / counts.probes.sum() for each in (counts.identified, gained))
            interval = f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})" if template != BASE else ""
            print(f"{rule:>13} {share:6.1%} ({np.mean(counts.fpirs):.2%}) {interval:24}", end="")
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="members of a gallery")
    parser.add_argument("--draws", type=int, default=200, help="galleries of each kind (default 200)")
    parser.add_argument("--resamples", type=int, default=1000, help="of people, for the intervals (default 1000)")
    add_descriptor_options(parser)
    options = parser.parse_args()
    vectors, names = lfw_descriptors(options)
    people = np.unique(names, return_inverse=True)[1]
    for members in options.sizes:
        alpha = ALPHAS.get(members, ALPHA)
        for case in CASES:
            galleries = [draw(names, case, members, seed) for seed in range(options.draws)]
            numbers = np.mean([np.bincount([len(own) for own in each.enrolled], minlength=6) for each in galleries], 0)
            counted = ", ".join(f"{count:.0f} with {number}" for number, count in enumerate(numbers) if count >= 0.5)
            print(f"\n{case}, {members} members ({counted}), {options.draws} galleries, alpha {alpha:.0%}")
            print_case(measured(vectors, people, galleries, alpha), options.resamples)


if __name__ == "__main__":
    main()
