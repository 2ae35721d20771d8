"""Several photos of a member on lfw-view1: each by itself (nearest), or their mean without foreign photos (mean).

    python -m benchmarks.templates [--seeds 60] [--rule-seeds 10] [--passes mirror] [--descriptors FILE.npz]

Galleries of 200 members with two or three photos each. Few people of lfw-view1 have so many, so all who have one more
are members, and their other photos are the probes; the other members only fill the gallery. The strangers are the
photos of everybody else. ``foreign`` is the share of members of whom one photo is replaced by that of a stranger, who
then is no probe. Each seed draws other photos, members and strangers from the same people, so the standard errors are
those of the draws, and not of the people: benchmarks.template_choices has intervals over people.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import numpy.typing as npt

from benchmarks.lfw_descriptors import Array, add_descriptor_options, lfw_descriptors
from benchmarks.open_set import Mask, print_table
from face128.domain.decision_rule import Rule, Tail
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.matching.decision import decide
from face128.matching.fast_distances import approximate_distances
from face128.matching.templates import far_from_the_others, kept, mean_members

MEMBERS = 200
MIXED = 3
"""Up to so many photos of a member, where their number differs (benchmarks.template_choices)."""
CASES = ((2, 0.0), (3, 0.0), (2, 0.1), (3, 0.1))
"""Photos of a member, and the share of members with a foreign one."""
TARGET_FPIRS = (0.001, 0.01)
RULES = {f"cohort, alpha 1 %, {tail} tail": Rule("cohort", 0.01, tail) for tail in get_args(Tail)}
SCORES: dict[str, Callable[[Array], Array]] = {
    "nearest / mean of next 5": lambda d: d[:, 0] / d[:, 1:6].mean(1),
    "distance alone": lambda d: d[:, 0],
}


@dataclass(frozen=True)
class Draw:
    """The members, and the rows of the photos that are probes."""

    members: MemberList
    foreign: Mask
    """(descriptors of the members,) which are a stranger's."""
    photos: npt.NDArray[np.intp]
    photo_members: npt.NDArray[np.intp]
    strangers: npt.NDArray[np.intp]


def draw(vectors: Array, names: npt.NDArray[np.str_], photos: int, foreign: float, seed: int) -> Draw:
    random = np.random.default_rng(seed)
    people = [random.permutation(np.flatnonzero(names == name)) for name in random.permutation(np.unique(names))]
    people.sort(key=lambda rows: -min(len(rows), photos + 1))  # stable: of equally many photos in random order
    members, others = people[:MEMBERS], people[MEMBERS:]
    enrolled = [rows[:photos].copy() for rows in members]
    replaced = [np.zeros(len(rows), np.bool_) for rows in enrolled]
    for rows, is_foreign in zip(enrolled, replaced, strict=True):
        if random.random() < foreign:
            place = random.integers(len(rows))
            rows[place], is_foreign[place] = others.pop()[0], True
    owners = np.arange(MEMBERS).repeat([len(rows) for rows in enrolled])
    listed = MemberList(list(range(MEMBERS)), [None] * MEMBERS, vectors[np.concatenate(enrolled)], owners)
    photo_members = np.arange(MEMBERS).repeat([max(0, len(rows) - photos) for rows in members])
    probes = np.concatenate([rows[photos:] for rows in members])
    return Draw(listed, np.concatenate(replaced), probes, photo_members, np.concatenate(others))


def draw_mixed(vectors: Array, names: npt.NDArray[np.str_], wanted: int, seed: int) -> Draw:
    """Members with one to MIXED photos, and one more as a probe. Those with ``wanted`` photos or more come first."""
    random = np.random.default_rng(seed)
    people = [random.permutation(np.flatnonzero(names == name)) for name in random.permutation(np.unique(names))]
    people.sort(key=lambda rows: -min(len(rows), wanted))
    members, strangers = people[:MEMBERS], np.concatenate(people[MEMBERS:])
    counts = [int(random.integers(1, min(MIXED, len(rows) - 1) + 1)) for rows in members]
    parts = [(rows[:count], rows[count:]) for rows, count in zip(members, counts, strict=True)]
    enrolled, photos = (np.concatenate(each) for each in zip(*parts, strict=True))
    owners, photo_members = (
        np.arange(MEMBERS).repeat([len(rows) for rows in each]) for each in zip(*parts, strict=True)
    )
    listed = MemberList([*range(MEMBERS)], [None] * MEMBERS, vectors[enrolled], owners)
    return Draw(listed, np.zeros(len(enrolled), np.bool_), photos, photo_members, strangers)


def left_out(drawn: Draw) -> dict[str, list[float]]:
    """Which shares of foreign and of own photos the mean is without, of members with three photos or more."""
    owners, photos = drawn.members.person_ids, drawn.members.vectors
    without = np.zeros(len(owners), np.bool_)
    several = np.bincount(owners)[owners] > 2
    for member in np.unique(owners[several]).tolist():
        own = np.flatnonzero(owners == member)
        without[own] = ~kept(far_from_the_others(photos[own], DLIB.metric, DLIB.cohort_cap)[0])
    shares = [without[several & of_whom].mean() for of_whom in (drawn.foreign, ~drawn.foreign)]
    return {"left out of the mean": [float(share) for share in shares]}


def member_distances(drawn: Draw, vectors: Array, rows: npt.NDArray[np.intp], template: Template) -> Array:
    """(rows, members) the distance of each photo to each member."""
    members = mean_members(drawn.members, DLIB) if template == "mean" else drawn.members
    found = np.full((len(rows), MEMBERS), np.inf)
    for place, row in enumerate(rows):
        np.minimum.at(
            found[place], members.person_ids, approximate_distances(members.vectors, vectors[row], "euclidean")
        )
    return found


def rates(drawn: Draw, vectors: Array) -> dict[str, list[float]]:
    """By what decides: FPIR and share identified."""
    found = {}
    for template in get_args(Template):
        photos, strangers = (
            member_distances(drawn, vectors, rows, template) for rows in (drawn.photos, drawn.strangers)
        )
        correct = photos.argmin(1) == drawn.photo_members
        photos, strangers = np.sort(photos, 1), np.sort(strangers, 1)
        within, let_in = photos[:, 0] <= DLIB.threshold, strangers[:, 0] <= DLIB.threshold
        found[f"{template}: threshold 0.38"] = [float(let_in.mean()), float((correct & within).mean())]
        for name, score in SCORES.items():
            for fpir, cut in zip(
                TARGET_FPIRS, np.quantile(score(strangers), TARGET_FPIRS, method="lower"), strict=True
            ):
                identified = float((correct & (score(photos) <= cut)).mean())
                found[f"{template}: {name}, cut at FPIR {fpir:.1%}"] = [fpir, identified]
    return with_gains(found)


def rates_by_rule(drawn: Draw, vectors: Array) -> dict[str, list[float]]:
    """As ``rates``, where the rule knows only the members."""
    found = {}
    for template in get_args(Template):
        for name, rule in RULES.items():
            asked = MatchRequest(Probe.of(DLIB, vectors[0]), DLIB, {}, drawn.members, rule, template=template)
            let_in = [decide(replace(asked, probe=Probe.of(DLIB, vectors[row]))).matched for row in drawn.strangers]
            decisions = [decide(replace(asked, probe=Probe.of(DLIB, vectors[row]))) for row in drawn.photos]
            identified = [
                each.matched and each.nearest is not None and each.nearest.reg_no == member
                for each, member in zip(decisions, drawn.photo_members.tolist(), strict=True)
            ]
            found[f"{template}: {name}"] = [float(np.mean(let_in)), float(np.mean(identified))]
    return with_gains(found)


def with_gains(found: dict[str, list[float]]) -> dict[str, list[float]]:
    """Also what the mean adds to nearest."""
    names = [name.removeprefix("mean: ") for name in found if name.startswith("mean: ")]
    gains = {f"gain: {name}": list(np.subtract(found[f"mean: {name}"], found[f"nearest: {name}"])) for name in names}
    return found | gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60, help="galleries of each kind (default 60)")
    parser.add_argument(
        "--rule-seeds", type=int, default=10, help="those on which the rule itself decides (default 10)"
    )
    add_descriptor_options(parser)
    options = parser.parse_args()
    vectors, names = lfw_descriptors(options)
    for photos, foreign in CASES:
        drawn = [draw(vectors, names, photos, foreign, seed) for seed in range(options.seeds)]
        probes = len(drawn[0].photos)
        print(f"\n{photos} photos of each of {MEMBERS} members, {foreign:.0%} with a foreign one; {probes} probes")
        print_table([rates(each, vectors) for each in drawn], ["FPIR", "identified"])
        if photos > 2 and foreign:
            print_table([left_out(each) for each in drawn], ["foreign", "own"])
        if options.rule_seeds:
            print_table([rates_by_rule(each, vectors) for each in drawn[: options.rule_seeds]], ["FPIR", "identified"])


if __name__ == "__main__":
    main()
