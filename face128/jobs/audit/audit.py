"""face128 audit: finds what is wrong with a set of descriptors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix
from face128.domain.members import RegNo
from face128.domain.model_card import DLIB, FACEAPI, pair_card
from face128.jobs.audit.close_pairs import BLOCK_ROWS, MAX_PAIRS, NearRows, close_pairs, farthest_apart
from face128.jobs.audit.findings import KINDS, SPOILING_KINDS, Finding, commands
from face128.jobs.audit.lenient_reader import ComparableDescriptors, UncheckedMembers
from face128.jobs.audit.one_person import SuspectedPair, suspected_pairs
from face128.jobs.audit.stranger_risk import StrangerRisk, stranger_risks
from face128.jobs.photo_quality import PhotoQualities
from face128.jobs.wording import percent
from face128.matching.templates import far_from_the_others, kept

DUPLICATE_DISTANCE = 1e-6  # of one photo that was encoded twice
LEAST_TOLD_RISK = 1e-5  # below it an estimate from some hundred members has no meaning


@dataclass(frozen=True)
class Audit:
    source: Path
    """The file."""
    members: UncheckedMembers
    findings: list[Finding]
    """In the order of ``findings.KINDS``: those that spoil the estimates first, those for information last."""
    stranger_risks: list[StrangerRisk]
    """By model; of pairs first. For information: they do not change ``needs_person``."""

    @property
    def needs_person(self) -> bool:
        return any(finding.needs_person for finding in self.findings)

    @property
    def member_count(self) -> int:
        """Members who are listed several times count once; entries without a number count each."""
        return len(self.members.people) + sum(finding.kind == "invalid_member" for finding in self.findings)

    @property
    def descriptor_count(self) -> int:
        return sum(len(group.models) for group in self.members.groups if not group.is_pairs)

    @property
    def qualities(self) -> PhotoQualities:
        return self.members.qualities

    @property
    def spoiling(self) -> list[Finding]:
        """What must be mended before the estimates hold."""
        return [finding for finding in self.findings if finding.kind in SPOILING_KINDS]

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``face128 audit --json``, without the verdict."""
        return {
            "members": self.members.entry_count,
            "descriptors": self.descriptor_count,
            "needs_person": self.needs_person,
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "findings": [self._finding(finding) for finding in self.findings],
            "quality": self.qualities.to_json(),
            "crowds": [risk.to_json() for risk in self.stranger_risks],
        }

    def _finding(self, finding: Finding) -> dict[str, Any]:
        names = [self.members.name_of(reg_no) for reg_no in finding.members]
        advice = {"advice": KINDS[finding.kind].advice, "commands": commands(finding.kind, self.source)}
        return {**asdict(finding), "names": names, "needs_person": finding.needs_person, **advice}


def audit(data: bytes, threshold: float | None = None, source: Path = Path("enrolled.json")) -> Audit:
    """Examine a list of members or a body of /match; ``threshold`` instead of the model's own.

    Raises BadRequest if the file is neither.
    """
    members = UncheckedMembers(data, source)
    return Audit(source, members, find(members, threshold), stranger_risks(members, threshold))


class ReadMembers(Protocol):
    """Members, and what was wrong with them already as they were read."""

    @property
    def people(self) -> Sequence[RegNo]: ...
    @property
    def findings(self) -> list[Finding]: ...
    @property
    def groups(self) -> Sequence[ComparableDescriptors]: ...
    @property
    def qualities(self) -> PhotoQualities: ...


def find(
    members: ReadMembers,
    threshold: float | None = None,
    *,
    near_rows: NearRows | None = None,
    max_pairs: int = MAX_PAIRS,
    suspects: bool = True,
) -> list[Finding]:
    """Everything that is wrong. ``near_rows`` and ``max_pairs`` are those of ``close_pairs``.

    ``suspects``: also look for people who are enrolled twice, beyond the threshold: all are compared with each other.
    """
    findings = [*members.findings, *_mixed_models(members)]
    for group in members.groups:
        # A threshold is of one model's distances: of the pairs of two it would mean something else.
        limit = group.card.threshold if threshold is None or group.is_pairs else threshold
        # Within retail's own threshold are 15 pairs of different people among 200 members (benchmarks/networks.py).
        all_within = threshold is not None or pair_card(DLIB, group.card) is None
        card = group.card
        suspected = suspected_pairs(group.vectors, group.owners, card.metric, card.cohort_cap) if suspects else []
        near = close_pairs(group.vectors, group.owners, card.metric, limit, near_rows=near_rows, max_pairs=max_pairs)
        findings += _between_people(near, suspected, members.people, limit, all_within=all_within)
        findings += _within_people(group, members.people, limit)
        findings += _foreign_photos(group, members.people)
        findings += _origin(group, members.people)
    findings += [
        Finding(
            "poor_photo",
            (poor.regNo,),
            f"{poor.reasons.replace(' ', ', ').replace('_', ' ')}: {poor.advice}",
            photos=(poor.photo,) if poor.photo else (),
        )
        for poor in members.qualities.poor
    ]
    return _in_order(findings)


def _in_order(findings: list[Finding]) -> list[Finding]:
    """By kind; what several models say of the same members, once, as the first of them says it."""
    kinds = list(KINDS)
    about_two = set()
    kept_findings = []
    for finding in sorted(findings, key=lambda finding: kinds.index(finding.kind)):
        between = finding.kind in SPOILING_KINDS
        key = (None if between else finding.kind, frozenset((type(each), each) for each in finding.members))
        if between or finding.kind in ("too_far", "inconsistent_person"):
            if key in about_two:
                continue
            about_two.add(key)
        kept_findings.append(finding)
    return kept_findings


def _mixed_models(members: ReadMembers) -> Iterator[Finding]:
    """If not all members who have a descriptor have one of the same network."""
    groups = [group for group in members.groups if not group.is_pairs]
    described = {int(owner) for group in groups for owner in group.owners}
    if groups and not any(described == set(group.owners.tolist()) for group in groups):
        counts = Counter(model for group in groups for model in group.models)
        models = ", ".join(f"{count} of {model}" for model, count in counts.most_common())
        yield Finding("mixed_models", (), f"descriptors that cannot be compared: {models}")


def _between_people(
    near: list[tuple[int, int, float]],
    suspected: list[SuspectedPair],
    people: Sequence[RegNo],
    limit: float,
    *,
    all_within: bool,
) -> Iterator[Finding]:
    """``all_within``: also those within ``limit`` who do not look like one person."""
    suspects = {(pair.first, pair.second) for pair in suspected}
    for first, second, apart in near:
        members = people[first], people[second]
        if apart <= DUPLICATE_DISTANCE:
            yield Finding("duplicate", members, "the same descriptor", 0.0)
        elif all_within or (first, second) in suspects:
            yield Finding("too_near", members, f"{apart:.3f} apart, within {limit:g}", apart)
    for pair in suspected:
        if pair.distance > limit:
            members = people[pair.first], people[pair.second]
            share = percent(max(pair.stranger_risk, LEAST_TOLD_RISK))
            detail = f"{pair.distance:.3f} apart; at most {share} of strangers come as near"
            yield Finding("perhaps_one_person", members, detail, pair.distance)


def _within_people(group: ComparableDescriptors, people: Sequence[RegNo], limit: float) -> Iterator[Finding]:
    order = np.argsort(group.owners, kind="stable")
    owners, starts = np.unique(group.owners[order], return_index=True)
    for owner, rows in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
        if len(rows) > 1 and (apart := farthest_apart(group.vectors[rows], group.card.metric)) > limit:
            yield Finding("too_far", (people[owner],), f"own photos {apart:.3f} apart, beyond {limit:g}", apart)


def _foreign_photos(group: ComparableDescriptors, people: Sequence[RegNo]) -> Iterator[Finding]:
    """Photos that are not of the person, by the rule of templates: far from the others of the same model."""
    keys = np.stack([group.owners, np.unique(group.models, return_inverse=True)[1]])
    order = np.lexsort(keys[::-1])
    _, starts = np.unique(keys[:, order], axis=1, return_index=True)
    for rows in np.split(order, np.sort(starts)[1:]):
        if len(rows) < 2:
            continue
        far, apart = far_from_the_others(group.vectors[rows], group.card.metric, group.card.cohort_cap)
        if not far.any():
            continue
        member, places = (people[group.owners[rows[0]]],), ", ".join(str(group.places[row]) for row in rows[far])
        farthest = float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max())
        if kept(far).all():
            detail = f"its photos differ, up to {farthest:.3f}, and no majority says which are its own"
        else:
            detail = f"{places}: {farthest:.3f} from the other photos, beyond {group.card.cohort_cap:g}"
        yield Finding("inconsistent_person", member, detail, farthest, tuple(group.places[row] for row in rows[far]))


def _origin(group: ComparableDescriptors, people: Sequence[RegNo]) -> Iterator[Finding]:
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
    blocks = range(0, len(vectors), BLOCK_ROWS)  # each becomes float64: all at once would take twice their memory
    sums = [vectors[start : start + BLOCK_ROWS] @ fitted["weights"] + fitted["bias"] for start in blocks]
    return np.concatenate([np.empty(0), *sums]) > 0
