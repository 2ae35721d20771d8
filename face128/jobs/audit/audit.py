"""face128 audit: what is wrong with a set of descriptors, before a member finds out at the door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from face128.domain.descriptors import distance
from face128.domain.members import RegNo
from face128.domain.model_card import DLIB, FACEAPI
from face128.errors import InvalidDescriptor
from face128.jobs.audit.close_pairs import pairs_within
from face128.jobs.audit.findings import Finding
from face128.jobs.audit.lenient_reader import Group, Suspects, read_suspects
from face128.jobs.audit.network_origin import from_faceapi
from face128.jobs.audit.stranger_risk import Crowd, crowds_of

SAME = 1e-6  # nearer than this is one photo, encoded twice


@dataclass(frozen=True)
class Audit:
    members: int
    descriptors: int
    findings: list[Finding]
    crowds: list[Crowd]
    """What the set says of strangers; it informs, and needs nobody."""

    @property
    def needs_person(self) -> bool:
        return any(finding.needs_person for finding in self.findings)

    def answer(self) -> dict[str, Any]:
        """The JSON of ``face128 audit --json``."""
        return {
            "members": self.members,
            "descriptors": self.descriptors,
            "needs_person": self.needs_person,
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "findings": [{**asdict(found), "needs_person": found.needs_person} for found in self.findings],
            "crowds": [crowd.answer() for crowd in self.crowds],
        }


def audit(data: bytes, threshold: float | None = None) -> Audit:
    """Examine a list of members or a body of /match; ``threshold`` instead of the model's own.

    Raises BadRequest where the file is neither.
    """
    suspects = read_suspects(data)
    findings = list(suspects.findings)
    if len(suspects.groups) > 1:
        counts = Counter(model for group in suspects.groups for model in group.models)
        found = ", ".join(f"{count} of {model}" for model, count in counts.most_common())
        findings.append(Finding("mixed_models", (), f"descriptors that cannot be compared: {found}"))
    for group in suspects.groups:
        limit = group.card.threshold if threshold is None else threshold
        findings += _between_people(group, suspects.people, limit)
        findings += _within_people(group, suspects.people, limit)
        findings += _origin(group, suspects)
    count = sum(len(group.models) for group in suspects.groups)
    return Audit(suspects.members, count, findings, crowds_of(suspects, threshold))


def _between_people(group: Group, people: list[RegNo], limit: float) -> Iterator[Finding]:
    for pair in pairs_within(group.vectors, group.owners, group.card.metric, limit):
        members = people[pair.first], people[pair.second]
        if pair.distance <= SAME:
            yield Finding("duplicate", members, "the same descriptor", 0.0)
        else:
            yield Finding("too_near", members, f"at {pair.distance:.3f}, within {limit}", pair.distance)


def _within_people(group: Group, people: list[RegNo], limit: float) -> Iterator[Finding]:
    order = np.argsort(group.owners, kind="stable")
    owners, starts = np.unique(group.owners[order], return_index=True)
    for owner, rows in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
        apart = [_distance(group, int(a), int(b)) for a, b in combinations(rows, 2)]
        if apart and max(apart) > limit:
            yield Finding("too_far", (people[owner],), f"own photos {max(apart):.3f} apart, beyond {limit}", max(apart))


def _distance(group: Group, a: int, b: int) -> float:
    try:
        return distance(group.vectors[a], group.vectors[b], group.card.metric)
    except InvalidDescriptor:
        return float("inf")


def _origin(group: Group, suspects: Suspects) -> Iterator[Finding]:
    """Whether descriptors look as if another network had made them than the one that is named."""
    if group.card.name not in (DLIB.name, FACEAPI.name):
        return
    named = np.array([model == FACEAPI.name for model in group.models])
    other = from_faceapi(group.vectors) != named
    if other.any():
        members = tuple(dict.fromkeys(suspects.people[owner] for owner in group.owners[other].tolist()))
        count, total = int(other.sum()), len(other)
        faceapi = int((other & ~named).sum())
        detail = (
            f"of {total} descriptors {faceapi} look like face-api.js's, {count - faceapi} like dlib's, unlike named"
        )
        yield Finding("origin", members, detail)
