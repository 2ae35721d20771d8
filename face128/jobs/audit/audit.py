"""face128 audit: finds what is wrong with a set of descriptors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix, distances
from face128.domain.members import RegNo
from face128.domain.model_card import DLIB, FACEAPI
from face128.jobs.audit.close_pairs import close_pairs
from face128.jobs.audit.lenient_reader import ComparableDescriptors, Finding, UncheckedMembers
from face128.jobs.audit.stranger_risk import StrangerRisk, stranger_risks
from face128.jobs.photo_quality import PhotoQualities
from face128.matching.templates import far_from_the_others, kept

DUPLICATE_DISTANCE = 1e-6  # of one photo that was encoded twice


@dataclass(frozen=True)
class Audit:
    entry_count: int
    descriptor_count: int
    findings: list[Finding]
    stranger_risks: list[StrangerRisk]
    """For information: they do not change ``needs_person``."""
    qualities: PhotoQualities
    """Likewise."""

    @property
    def needs_person(self) -> bool:
        return any(finding.needs_person for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``face128 audit --json``."""
        return {
            "members": self.entry_count,
            "descriptors": self.descriptor_count,
            "needs_person": self.needs_person,
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "findings": [{**asdict(finding), "needs_person": finding.needs_person} for finding in self.findings],
            "quality": self.qualities.to_json(),
            "crowds": [risk.to_json() for risk in self.stranger_risks],
        }


def audit(data: bytes, threshold: float | None = None) -> Audit:
    """Examine a list of members or a body of /match; ``threshold`` instead of the model's own.

    Raises BadRequest if the file is neither.
    """
    members = UncheckedMembers(data)
    findings = members.findings
    if len(members.groups) > 1:
        counts = Counter(model for group in members.groups for model in group.models)
        models = ", ".join(f"{count} of {model}" for model, count in counts.most_common())
        findings.append(Finding("mixed_models", (), f"descriptors that cannot be compared: {models}"))
    for group in members.groups:
        limit = group.card.threshold if threshold is None else threshold
        findings += _between_people(group, members.people, limit)
        findings += _within_people(group, members.people, limit)
        findings += _foreign_photos(group, members.people)
        findings += _origin(group, members.people)
    findings += [
        Finding("poor_photo", (poor.regNo,), f"{poor.reasons}: {poor.advice}") for poor in members.qualities.poor
    ]
    descriptor_count = sum(len(group.models) for group in members.groups)
    risks = stranger_risks(members, threshold)
    return Audit(members.entry_count, descriptor_count, findings, risks, members.qualities)


def _between_people(group: ComparableDescriptors, people: list[RegNo], limit: float) -> Iterator[Finding]:
    for first, second, apart in close_pairs(group.vectors, group.owners, group.card.metric, limit):
        members = people[first], people[second]
        if apart <= DUPLICATE_DISTANCE:
            yield Finding("duplicate", members, "the same descriptor", 0.0)
        else:
            yield Finding("too_near", members, f"at {apart:.3f}, within {limit}", apart)


def _within_people(group: ComparableDescriptors, people: list[RegNo], limit: float) -> Iterator[Finding]:
    order = np.argsort(group.owners, kind="stable")
    owners, starts = np.unique(group.owners[order], return_index=True)
    for owner, rows in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
        if len(rows) < 2:
            continue
        first, second = (group.vectors[list(side)] for side in zip(*combinations(rows, 2), strict=True))
        farthest = float(np.nan_to_num(distances(first, second, group.card.metric), nan=np.inf, posinf=np.inf).max())
        if farthest > limit:
            yield Finding("too_far", (people[owner],), f"own photos {farthest:.3f} apart, beyond {limit}", farthest)


def _foreign_photos(group: ComparableDescriptors, people: list[RegNo]) -> Iterator[Finding]:
    """Photos that are not of the person, by the rule of templates: far from the others of the same model."""
    keys = np.stack([group.owners, np.unique(group.models, return_inverse=True)[1]])
    order = np.lexsort(keys[::-1])
    _, starts = np.unique(keys[:, order], axis=1, return_index=True)
    for rows in np.split(order, np.sort(starts)[1:]):
        far, apart = far_from_the_others(group.vectors[rows], group.card.metric, group.card.cohort_cap)
        if not far.any():
            continue
        member, places = (people[group.owners[rows[0]]],), ", ".join(str(group.places[row]) for row in rows[far])
        farthest = float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max())
        if kept(far).all():
            detail = f"its photos differ, up to {farthest:.3f}, and no majority says which are its own"
        else:
            detail = f"{places}: {farthest:.3f} from the other photos, beyond {group.card.cohort_cap:g}"
        yield Finding("inconsistent_person", member, detail, farthest)


def _origin(group: ComparableDescriptors, people: list[RegNo]) -> Iterator[Finding]:
    """Descriptors that look as if another network than the named one had made them. Only for information."""
    if group.card.name not in (DLIB.name, FACEAPI.name):
        return
    named_faceapi = np.array([model == FACEAPI.name for model in group.models])
    differs = looks_like_faceapi(group.vectors) != named_faceapi
    if differs.any():
        members = tuple(dict.fromkeys(people[owner] for owner in group.owners[differs].tolist()))
        faceapi_count = int((differs & ~named_faceapi).sum())
        dlib_count = int(differs.sum()) - faceapi_count
        detail = (
            f"of {len(differs)} descriptors {faceapi_count} look like face-api.js's and {dlib_count} like dlib's, "
            "but another model is named"
        )
        yield Finding("origin", members, detail)


def looks_like_faceapi(vectors: Matrix) -> npt.NDArray[np.bool_]:
    """For each row of (n, 128): whether it looks like a descriptor of face-api.js, (n,).

    face-api.js's network is dlib's own with its weights rounded to 8 bits; a logistic regression sees the rounding. Its
    coefficients are in ``origin.json``; benchmarks/train_origin.py fits them and prints their accuracy. Has no meaning
    for descriptors that were normalised or rounded to two decimals.
    """
    fitted = json.loads(files("face128.jobs.audit").joinpath("origin.json").read_text())
    return np.asarray(vectors @ fitted["weights"] + fitted["bias"] > 0)
