"""Other templates than the mean of a member's photos, on lfw-view1: what each gains, and whether for other people, too.

    python -m benchmarks.template_choices [--draws 60] [--resamples 500] [--splits 50] [--passes mirror]
        [--descriptors FILE.npz]

Galleries of 200 members with two photos each, with three (both as benchmarks.templates draws them), and with one to
three: with one mostly, or mixed more evenly. Each template is cut at an FPIR of 1 % on the strangers, by the cohort
rule's score and by the distance alone.

The interval of a gain is that of other people: a bootstrap draws people, each with all probes of theirs, as members and
as strangers. "Chosen by halves": the people are halved at random, the alternative that gains most with the probes of
one half is chosen, and the gain is that with the probes of the other half.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.lfw_descriptors import Array, add_descriptor_options, lfw_descriptors
from benchmarks.open_set import Mask
from benchmarks.templates import MEMBERS, MIXED, SCORES, Draw, draw, draw_mixed
from face128.domain.model_card import DLIB
from face128.matching.templates import far_from_the_others, kept

People = npt.NDArray[np.intp]
Weights = npt.NDArray[np.int64]
"""(samples, people)"""
Combine = Callable[[Array], Array]
"""The template of (photos, dimension) descriptors of a member, two or more, none of them foreign."""


@dataclass(frozen=True)
class Members:
    """Of each member the (photos, dimension) descriptors."""

    photos: list[Array]
    own: list[Array]
    """Without foreign ones, as the rule of the mean finds them."""


Distances = Callable[[Array, Members], Array]
"""(probes, members) the distances of probes to members."""

FPIR = 0.01
NEXT = 6
"""The nearest, and the next five: what a score is computed from."""
MEDIAN_ROUNDS = 20
TINY = 1e-9
"""A photo at the median itself."""


def apart(probes: Array, others: Array) -> Array:
    squares = (probes**2).sum(1)[:, None] + (others**2).sum(1) - 2 * probes @ others.T
    return np.sqrt(np.maximum(0, squares))


def to_templates(combine: Combine) -> Distances:
    def distances(probes: Array, members: Members) -> Array:
        return apart(probes, np.array([combine(own) if len(own) > 1 else own[0] for own in members.own]))

    return distances


def over_photos(ufunc: np.ufunc, probes: Array, photos: list[Array]) -> Array:
    """(probes, members) the distances to the photos of a member, combined."""
    counts = np.array([len(each) for each in photos])
    return np.asarray(ufunc.reduceat(apart(probes, np.concatenate(photos)), counts.cumsum() - counts, axis=1))


def nearest(probes: Array, members: Members) -> Array:
    return over_photos(np.minimum, probes, members.photos)


def mean_distance(probes: Array, members: Members) -> Array:
    return over_photos(np.add, probes, members.own) / np.array([len(own) for own in members.own])


def mean(photos: Array) -> Array:
    return np.asarray(photos.mean(0))


def at_photos_length(photos: Array) -> Array:
    return np.asarray(mean(photos) * np.linalg.norm(photos, axis=1).mean() / np.linalg.norm(mean(photos)))


def unit_mean(photos: Array) -> Array:
    lengths = np.linalg.norm(photos, axis=1)
    return mean(photos / lengths[:, None]) * lengths.mean()


def by_weight(photos: Array, weights: Array) -> Array:
    return np.asarray(weights @ photos / weights.sum())


def by_length(photos: Array) -> Array:
    return by_weight(photos, np.linalg.norm(photos, axis=1) ** 2)


def by_closeness(photos: Array, power: float) -> Array:
    """The further a photo is from the others on average, the less it counts."""
    return by_weight(photos, np.maximum(apart(photos, photos).sum(1), TINY) ** -power)


def geometric_median(photos: Array) -> Array:
    """Weiszfeld's iteration."""
    median = mean(photos)
    for _ in range(MEDIAN_ROUNDS):
        median = by_weight(photos, 1 / np.maximum(np.linalg.norm(photos - median, axis=1), TINY))
    return median


def corrected(probes: Array, members: Members, spread: float) -> Array:
    """Squared distances to the mean of k photos are about (1 + spread / k) / (1 + spread) of those to one photo."""
    counts = np.array([len(own) for own in members.own])
    return BY_MEAN(probes, members) * np.sqrt((1 + spread) / (1 + spread / counts))


def mixed(probes: Array, members: Members, share: float) -> Array:
    return share * BY_MEAN(probes, members) + (1 - share) * nearest(probes, members)


def nearer(probes: Array, members: Members) -> Array:
    return np.minimum(BY_MEAN(probes, members), nearest(probes, members))


BY_MEAN = to_templates(mean)
CHOICES: dict[str, Distances] = {
    "mean": BY_MEAN,
    "nearest": nearest,
    "the mean at its photos' length": to_templates(at_photos_length),
    "mean of unit descriptors": to_templates(unit_mean),
    "geometric median": to_templates(geometric_median),
    "weights 1 / distance to the others": to_templates(partial(by_closeness, power=1)),
    "weights 1 / distance^3": to_templates(partial(by_closeness, power=3)),
    "weights length^2": to_templates(by_length),
    "mean of the distances": mean_distance,
    "half mean, half nearest": partial(mixed, share=0.5),
    "3/4 mean, 1/4 nearest": partial(mixed, share=0.75),
    "the nearer of mean and nearest": nearer,
    **{f"mean, number of photos corrected, {c:g}": partial(corrected, spread=c) for c in (0.05, 0.1, 0.2, 0.4)},
}


@dataclass(frozen=True)
class Scored:
    """The probes of one gallery."""

    photos: Array
    correct: Mask
    photo_people: People
    photo_counts: npt.NDArray[np.intp]
    """(photos,) the enrolled photos of each one's member."""
    strangers: Array
    """Ascending."""
    stranger_people: People

    def identified(self, weights: Weights, count: int | None = None) -> Array:
        """(samples,) the share identified at FPIR, if a person's probes count ``weights[sample, person]`` times.

        With ``count``, of members with so many photos; NaN if there are none.
        """
        strangers = weights[:, self.stranger_people].cumsum(axis=1)
        allowed = (FPIR * (strangers[:, -1:] - 1)).astype(np.int64)
        cuts = self.strangers[(strangers > allowed).argmax(axis=1)]
        photos = weights[:, self.photo_people] * (count is None or self.photo_counts == count)
        right = photos * (self.correct & (self.photos <= cuts[:, None]))
        with np.errstate(invalid="ignore"):
            return np.asarray(right.sum(axis=1) / photos.sum(axis=1))


def members_of(drawn: Draw) -> Members:
    photos = [drawn.members.vectors[drawn.members.person_ids == member] for member in range(MEMBERS)]
    return Members(photos, [each[kept(far_from_the_others(each, DLIB.metric, DLIB.cohort_cap)[0])] for each in photos])


def scored(drawn: Draw, members: Members, vectors: Array, people: People, choice: Distances) -> dict[str, Scored]:
    """By score."""
    photos, strangers = (choice(vectors[rows], members) for rows in (drawn.photos, drawn.strangers))
    correct = photos.argmin(1) == drawn.photo_members
    photos, strangers = (np.sort(np.partition(each, NEXT, axis=1)[:, :NEXT], axis=1) for each in (photos, strangers))
    found, counts = {}, np.bincount(drawn.members.person_ids)[drawn.photo_members]
    for name, score in SCORES.items():
        of_strangers = score(strangers)
        order = np.argsort(of_strangers, kind="stable")
        of_people = people[drawn.strangers][order]
        found[name] = Scored(score(photos), correct, people[drawn.photos], counts, of_strangers[order], of_people)
    return found


def print_case(galleries: dict[str, list[Scored]], people: int, resamples: int, splits: int) -> None:
    def identified(weights: Weights) -> Array:
        """(choices, samples), in percent."""
        return 100 * np.array(
            [np.mean([one.identified(weights) for one in each], axis=0) for each in galleries.values()]
        )

    random, ones, names = np.random.default_rng(0), np.ones((1, people), np.int64), [*galleries]
    everybody = identified(ones)[:, 0]
    drawn = identified(random.multinomial(people, np.full(people, 1 / people), size=resamples))
    low, high = np.quantile(drawn - drawn[0], (0.025, 0.975), axis=1)
    for row, name in enumerate(names):
        gain = f"{everybody[row] - everybody[0]:+8.2f} ({low[row]:+.1f} to {high[row]:+.1f})" if row else ""
        by_count = [np.mean([one.identified(ones, count) for one in galleries[name]]) for count in range(1, MIXED + 1)]
        shares = "  ".join(f"{count}: {share:.1%}" for count, share in enumerate(by_count, 1) if not np.isnan(share))
        print(f"  {name:45}{everybody[row]:8.2f}%{gain:26}  by photos {shares}")
    halves = random.permuted(np.tile(np.arange(people) % 2, (splits, 1)), axis=1)
    choosing, confirming = (
        identified(each) for each in (np.concatenate([halves, 1 - halves]), np.concatenate([1 - halves, halves]))
    )
    best = 1 + choosing[1:].argmax(axis=0)
    gains = confirming[best, np.arange(2 * splits)] - confirming[0]
    chosen = ", ".join(f"{name} {count}" for name, count in zip(names, np.bincount(best), strict=False) if count)
    print(f"  chosen by halves: {gains.mean():+.2f}, a point or more in {np.mean(gains >= 1):.0%} ({chosen} times)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=60, help="galleries of each kind (default 60)")
    parser.add_argument("--resamples", type=int, default=500, help="of people, for the intervals (default 500)")
    parser.add_argument("--splits", type=int, default=50, help="of the people into halves (default 50)")
    add_descriptor_options(parser)
    options = parser.parse_args()
    vectors, names = lfw_descriptors(options)
    people = np.unique(names, return_inverse=True)[1]
    cases: dict[str, Callable[[int], Draw]] = {
        "2 photos": partial(draw, vectors, names, 2, 0.0),
        "3 photos": partial(draw, vectors, names, 3, 0.0),
        "mostly 1 photo": partial(draw_mixed, vectors, names, 2),
        f"1 to {MIXED} photos": partial(draw_mixed, vectors, names, 3),
    }
    for case, by_seed in cases.items():
        drawn = [(one, members_of(one)) for one in map(by_seed, range(options.draws))]
        found = {
            name: [scored(one, members, vectors, people, choice) for one, members in drawn]
            for name, choice in CHOICES.items()
        }
        for score in SCORES:
            print(f"\n{case} of each of {MEMBERS} members, {score}, at FPIR {FPIR:.0%}: identified; more than the mean")
            galleries = {name: [each[score] for each in of_choice] for name, of_choice in found.items()}
            print_case(galleries, int(people.max()) + 1, options.resamples, options.splits)


if __name__ == "__main__":
    main()
