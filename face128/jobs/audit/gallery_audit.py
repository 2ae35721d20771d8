"""What ``face128 audit`` would find in a running gallery, from its own rows: bounded in memory, whatever its size."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from face128.domain.descriptors import Metric
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import Person, Record
from face128.gallery.rows.statements import BATCH_ROWS, count_faces, read_without_descriptors
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.tables import faces, in_collection
from face128.gallery.transfer.exporting import photos_with_descriptors
from face128.gallery.transfer.near_pairs import Pairs, near_pairs
from face128.jobs.audit.audit import find
from face128.jobs.audit.findings import KINDS, SPOILING_KINDS, Finding
from face128.jobs.audit.gallery_members import GalleryMembers
from face128.process_memory import OverwritingFreedMemory

MAX_PHOTOS = 100_000
"""The newest ones are looked at: they take 250 MB meanwhile."""
MAX_SUSPECT_PEOPLE = 20_000
"""Up to so many are compared with each other beyond the threshold, too: that takes the square of their number."""
MAX_PAIRS = 100_000
MAX_LISTED = 50
"""Findings of one kind: what is nearest is mended first, and then it is measured again."""

_OF_SEVERAL = ("origin",)
"""Kinds whose one finding names everybody."""

Pause = Callable[[float], bool]
"""Called now and then with the seconds that the work took since; True: end it."""


class AuditStopped(Exception):
    """The service ends."""


@dataclass(frozen=True)
class GalleryAudit:
    people: int
    photos: int
    """That were looked at."""
    all_photos: int
    suspects: bool
    """Whether people who are enrolled twice were looked for beyond the threshold."""
    counts: dict[str, int]
    """By kind, in the order of KINDS: findings, or the people of one that names several."""
    findings: list[Finding]
    """MAX_LISTED of each kind at most. They name nobody: ``still_true`` says whom they are about."""
    models: dict[str, int]
    """Descriptors by their model."""

    @property
    def need_person(self) -> int:
        """The findings that a person must look at."""
        return sum(count for kind, count in self.counts.items() if KINDS[kind].needs_person)


def audit_gallery(gallery: Gallery, pause: Pause = lambda _: False) -> GalleryAudit:
    """Examine the gallery's collection. Raises AuditStopped when ``pause`` says so, DatabaseUnavailable."""
    with OverwritingFreedMemory():
        return _audit(gallery, pause)


def _audit(gallery: Gallery, pause: Pause) -> GalleryAudit:
    with gallery.database.reading() as connection:
        condition = _newest(connection, MAX_PHOTOS)
        all_photos = count_faces(connection)
        members = GalleryMembers(_slowly(photos_with_descriptors(connection, condition), pause))
    suspects = len(members.people) <= MAX_SUSPECT_PEOPLE

    def near_rows(vectors: Any, metric: Metric, limit: float) -> Iterator[Pairs]:
        return near_pairs(vectors, len(vectors), metric, limit, lambda _: _stop_if(pause(0.0)))

    found = find(members, near_rows=near_rows, max_pairs=MAX_PAIRS, suspects=suspects)
    counts: Counter[str] = Counter()
    for finding in found:
        counts[finding.kind] += len(finding.members) if finding.kind in _OF_SEVERAL else 1
    return GalleryAudit(
        len(members.people),
        members.photo_count,
        all_photos,
        suspects,
        {kind: counts[kind] for kind in KINDS if counts[kind]},
        _first_of_each_kind(found),
        dict(sorted(members.models.items())),
    )


@dataclass(frozen=True)
class CurrentFinding:
    kind: str
    people: list[Person]
    photos: list[str]
    """The ids of the records that it is about, where it is not about all of a person's photos."""
    distance: float | None


def still_true(gallery: Gallery, audit: GalleryAudit) -> list[CurrentFinding]:
    """The listed findings, about people and photos that are still enrolled, and are still two where they were."""
    ids = {int(face) for finding in audit.findings for face in (*finding.members, *finding.photos) if face is not None}
    records: dict[int, Record] = {}
    with gallery.database.reading() as connection:
        for block in in_blocks(sorted(ids)):
            found = read_without_descriptors(connection, faces.c.id.in_(block))
            records |= {record.face_id: record for record in found}
    current = []
    for finding in audit.findings:
        members = [records.get(int(face)) for face in finding.members if face is not None]
        photos = [records.get(int(face)) for face in finding.photos]
        known = [record.person for record in members if record is not None]
        if finding.kind not in _OF_SEVERAL and (len(known) < len(members) or None in photos):
            continue
        if finding.kind in SPOILING_KINDS and known[0].same_as(known[1]):
            continue
        shown = [record.id for record in photos if record is not None]
        current.append(CurrentFinding(finding.kind, known, shown, finding.distance))
    return current


def _newest(connection: sa.Connection, count: int) -> sa.ColumnElement[bool]:
    """The condition for so many photos."""
    wanted = sa.select(faces.c.id).where(in_collection(connection, whole=True)).order_by(faces.c.id.desc())
    last = connection.scalar(wanted.offset(count).limit(1))
    return sa.true() if last is None else faces.c.id > last


def _slowly(
    photos: Iterator[tuple[Record, Mapping[str, bytes]]], pause: Pause
) -> Iterator[tuple[Record, Mapping[str, bytes]]]:
    """The same, with a pause after each of the blocks in which they are read: requests are answered meanwhile."""
    start = time.monotonic()
    for place, photo in enumerate(photos, start=1):
        yield photo
        if place % BATCH_ROWS == 0:
            _stop_if(pause(time.monotonic() - start))
            start = time.monotonic()


def _stop_if(stopped: bool) -> None:
    if stopped:
        raise AuditStopped


def _first_of_each_kind(findings: list[Finding]) -> list[Finding]:
    """In the order of their kinds: the nearest pairs of people; of a person's own photos those farthest apart."""

    def place(finding: Finding) -> tuple[int, float]:
        distance = finding.distance or 0.0
        return kinds.index(finding.kind), distance if finding.kind in SPOILING_KINDS else -distance

    kinds = list(KINDS)
    listed: Counter[str] = Counter()
    kept = []
    for finding in sorted(findings, key=place):
        listed[finding.kind] += 1
        if listed[finding.kind] <= MAX_LISTED:
            several = finding.kind in _OF_SEVERAL
            kept.append(replace(finding, members=finding.members[:MAX_LISTED]) if several else finding)
    return kept
