"""Who must be photographed again: those without a descriptor, then those who have only poor photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from face128.domain.members import RegNo
from face128.jobs.files import replacing
from face128.jobs.photo_quality import PhotoQualities, PoorPhoto
from face128.jobs.reencode.advice import AGAIN
from face128.jobs.reencode.results import EncodedMember, PhotoFailure
from face128.jobs.spreadsheet import write_rows

HEADINGS = ("number", "name", "reason", "what to do")


class Again(NamedTuple):
    """A row of the file."""

    reg_no: RegNo
    name: str
    reason: str
    what_to_do: str


def photograph_again(
    members: Sequence[EncodedMember], failures: Sequence[PhotoFailure], qualities: PhotoQualities
) -> tuple[list[Again], list[Again]]:
    """Who has no descriptor, and who has only poor photos. ``failures``: of photos that have no descriptor."""
    failed, poor = defaultdict(list), defaultdict(list)
    for failure in failures:
        failed[type(failure.regNo), failure.regNo].append(failure)
    for photo in qualities.poor:
        poor[type(photo.regNo), photo.regNo].append(photo)
    without, only_poor = [], []
    for member in members:
        key = type(member.reg_no), member.reg_no
        name = member.name or ""
        if not member.descriptors:
            reasons = [_reason(failure) for failure in failed[key]]
            advice = [AGAIN[failure.code][1] if failure.code in AGAIN else failure.advice for failure in failed[key]]
            without.append(Again(member.reg_no, name, "; ".join(reasons), " ".join(dict.fromkeys(advice))))
        elif len(poor[key]) == len(member.descriptors):
            reasons = [_poor_reason(photo) for photo in poor[key]]
            texts = dict.fromkeys(each.advice for each in poor[key])
            only_poor.append(Again(member.reg_no, name, "; ".join(reasons), " ".join(["Photograph again.", *texts])))
    return without, only_poor


def write_again(path: Path, rows: Sequence[Again]) -> None:
    with replacing(path) as file:
        write_rows(file, HEADINGS, rows)


def _poor_reason(photo: PoorPhoto) -> str:
    return f"poor photo: {photo.reasons.replace(' ', ', ').replace('_', ' ')} ({photo.photo})"


def _reason(failure: PhotoFailure) -> str:
    reason = AGAIN[failure.code][0] if failure.code in AGAIN else failure.error
    return f"{reason} ({failure.photo})" if failure.photo else reason
