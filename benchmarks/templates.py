"""Several photos of a member on lfw-view1: each by itself (nearest), or their mean without foreign photos (mean).

    python -m benchmarks.templates [--seeds 60] [--rule-seeds 10] [--descriptors FILE.npz]

Galleries of 200 members with two or three photos each. Few people of lfw-view1 have so many, so all who have one more
are members, and their other photos are the probes; the other members only fill the gallery. The strangers are the
photos of everybody else. ``foreign`` is the share of members of whom one photo is replaced by that of a stranger, who
then is no probe. Each seed draws other photos, members and strangers from the same people, so the standard errors are
those of the draws, and not of the people. ``--descriptors`` is the file of benchmarks.open_set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW
from benchmarks.open_set import Array, describe_faces, print_table
from face128.domain.decision_rule import Rule, Tail
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.matching.decision import decide
from face128.matching.fast_distances import approximate_distances
from face128.matching.templates import mean_members

MEMBERS = 200
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
    photos: npt.NDArray[np.intp]
    photo_members: npt.NDArray[np.intp]
    strangers: npt.NDArray[np.intp]


def draw(vectors: Array, names: npt.NDArray[np.str_], photos: int, foreign: float, seed: int) -> Draw:
    random = np.random.default_rng(seed)
    people = [random.permutation(np.flatnonzero(names == name)) for name in random.permutation(np.unique(names))]
    people.sort(key=lambda rows: -min(len(rows), photos + 1))  # stable: of equally many photos in random order
    members, others = people[:MEMBERS], people[MEMBERS:]
    enrolled = [rows[:photos].copy() for rows in members]
    for rows in enrolled:
        if random.random() < foreign:
            rows[random.integers(len(rows))] = others.pop()[0]
    owners = np.arange(MEMBERS).repeat([len(rows) for rows in enrolled])
    listed = MemberList(list(range(MEMBERS)), [None] * MEMBERS, vectors[np.concatenate(enrolled)], owners)
    photo_members = np.arange(MEMBERS).repeat([max(0, len(rows) - photos) for rows in members])
    return Draw(listed, np.concatenate([rows[photos:] for rows in members]), photo_members, np.concatenate(others))


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
    parser.add_argument("--descriptors", type=Path, help="as of benchmarks.open_set")
    options = parser.parse_args()
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is missing.")
    if options.descriptors and options.descriptors.exists():
        vectors, names = (np.load(options.descriptors)[key] for key in ("vectors", "names"))
    else:
        vectors, names = describe_faces(sorted(LFW.rglob("*.jpg")))
    for photos, foreign in CASES:
        drawn = [draw(vectors, names, photos, foreign, seed) for seed in range(options.seeds)]
        probes = len(drawn[0].photos)
        print(f"\n{photos} photos of each of {MEMBERS} members, {foreign:.0%} with a foreign one; {probes} probes")
        print_table([rates(each, vectors) for each in drawn], ["FPIR", "identified"])
        if options.rule_seeds:
            print_table([rates_by_rule(each, vectors) for each in drawn[: options.rule_seeds]], ["FPIR", "identified"])


if __name__ == "__main__":
    main()
