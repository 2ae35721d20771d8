"""Enrols the members of a file, all or none: everything is checked and compared first, and then stored block by block.

The file is read twice, so that a million members take little memory. While it is checked and compared others may write;
each block is stored in a short transaction, in which only what others have changed meanwhile is compared. A face that
is stored already stays as it is, so an import that was interrupted goes on when it is run again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain import decision_models
from face128.domain.model_card import ModelCard, find_card
from face128.domain.terms import NO_CHANGES, TermChanges
from face128.errors import InvalidRequest, ModelMismatch
from face128.gallery.gallery import Gallery
from face128.gallery.rows.space_rows import StoredPhoto, read_photos
from face128.gallery.rows.statements import all_models, current_version
from face128.gallery.rows.stored_rows import stored_owner
from face128.gallery.rows.stored_space import comparable_models
from face128.gallery.trail.chain import record
from face128.gallery.transfer.compared_faces import Column, ComparedFaces
from face128.gallery.transfer.file_rows import FileRows, Row, embeddings
from face128.gallery.transfer.import_duplicates import find_duplicates
from face128.gallery.transfer.import_labels import DuplicatePair, FileLabels, duplicate_pairs, refusal
from face128.gallery.transfer.import_rows import are_stored, store_rows
from face128.gallery.transfer.import_terms import ImportTerms
from face128.gallery.transfer.member_file import MemberFile
from face128.terminal.progress import Progress

ROWS_AT_ONCE = 250  # stored in one transaction, which other writers wait for
# A server's rows take a service longer to read. On MariaDB, the first search after 250 new ones took 7.0 ms of CPU,
# after 100 4.7, after one 4.0, and without any 2.1 (30 November 2026; benchmarks/beside_import.py measures it).
SERVER_ROWS_AT_ONCE = 100
# New rows after which PostgreSQL counts anew what is in the tables, and again after twice as many. By itself it does so
# each minute. Until then it takes a new table for a small one, and reads all of it for each search beside the import.
FIRST_COUNT_ROWS = 1_000
ANALYSE_TABLES = (
    "ANALYZE faces (user_id, version, collection, record_id, model), companions (face_id, version, collection)"
)
# After each: those who wait for SQLite only ask for its lock now and then. Without it a tenth of them waited 275 ms
# instead of 94, and one a second.
SQLITE_PAUSE_S = 0.0125
COMPARING_NICE = 10  # with a tenth of the share of a service's threads, where both wait for a processor
MEGABYTE = 10**6
MIN_BYTES_WITH_PROGRESS = 10 * MEGABYTE  # some seconds

Report = Callable[[Iterator[DuplicatePair]], None]


@dataclass(frozen=True)
class Imported:
    faces: int
    """In the file."""
    new: int
    model: str


def import_members(
    gallery: Gallery,
    file: MemberFile,
    *,
    force: bool = False,
    report: Report | None = None,
    terms: TermChanges = NO_CHANGES,
) -> Imported:
    """Enrol the members of a file, all or none. Stored faces stay as they are.

    ``terms`` are those of the members who name none. ``report`` is given all pairs of people with one face before
    anything is stored, also if there are none.

    Raises the errors of /match for a bad list, and ConsentRequired if FACE128_REQUIRE_CONSENT is set and no consent of
    a new member is known. Unless ``force``, raises Duplicate if faces of two people are within the threshold, and
    ModelMismatch if none of the gallery's faces is comparable with the file's.
    """
    job = _Import(gallery, file, terms, force=force, report=report)
    job.check()
    job.compare()
    return job.store()


class _Import:
    def __init__(
        self, gallery: Gallery, file: MemberFile, terms: TermChanges, *, force: bool, report: Report | None
    ) -> None:
        self._gallery, self._database = gallery, gallery.database
        self._rows = FileRows(file)
        self._terms = ImportTerms(terms, gallery.retention)
        self._force, self._report = force, report
        self._comparing = report is not None or not force
        self._faces = 0
        self._stored = bytearray()
        """For each face of the file, whether it was stored when the file was checked."""
        self._digests: list[int] = []
        """Of each block: what is stored must be what was checked."""
        self._models: set[str] = set()
        self._compared = ComparedFaces()
        """The new faces of the file; then also the stored ones."""
        self._labels = FileLabels()
        self._cards: list[ModelCard] = []
        self._version = 0
        """Of the gallery, up to which its faces have been compared."""
        self._changed: list[StoredPhoto] = []
        """What others have stored while the file is stored."""

    def check(self) -> None:
        """Check all members, and collect what is compared."""
        users, numeric = Column(np.int64), Column(np.bool_)
        with self._progress("Checking, MB", self._rows.file.size // MEGABYTE) as progress:
            for block, rows in self._rows.blocks():
                self._digests.append(hash(block.text))
                self._models.update(model for row in rows for model in embeddings(row))
                users.extend([hash(row["user_id"]) for row in rows])
                numeric.extend([row["is_number"] for row in rows])
                with self._database.reading() as connection:
                    stored = are_stored(connection, rows)
                    self._stored += bytes(stored)
                    new = [row for row, is_stored in zip(rows, stored, strict=True) if not is_stored]
                    self._terms.check(connection, new)
                    if self._comparing:
                        self._compared.add(_photos(connection, new))
                        self._labels.add(new)
                if progress:
                    progress.advance(block.bytes_read // MEGABYTE - progress.done)
        self._faces = len(self._stored)
        of_number = numeric.values
        if np.intersect1d(users.values[of_number], users.values[~of_number]).size:
            raise InvalidRequest("One regNo is both a number and a string.", field="regNo")

    def compare(self) -> None:
        """Compare the new faces with each other and with the stored ones, and refuse what ``force`` would accept."""
        card, gallery = self._rows.card, self._gallery
        in_file = self._models | {card.name}
        cards = [card, *(other for model in sorted(in_file - {card.name}) if (other := find_card(model)))]
        self._cards = decision_models.spaces(cards, gallery.decision_models) if len(cards) > 1 else cards
        new = len(self._compared)
        with self._database.reading() as connection:
            self._version = current_version(connection)
            models = all_models(connection)
            if models and not self._force and all(comparable_models(one).isdisjoint(models) for one in cards):
                named = f"The gallery's faces are of {', '.join(sorted(models))}; the file's are of "
                raise ModelMismatch(f"{named}{', '.join(sorted(in_file))}.")
            if new:
                self._compared.add(read_photos(connection))
        pairs = find_duplicates(self._compared, new, self._cards, start_thread=_let_others_run_first)
        with self._database.reading() as connection:

            def people() -> Iterator[DuplicatePair]:
                return duplicate_pairs(connection, pairs, self._compared, self._labels, self._cards)

            if self._report:
                self._report(people())
            if not self._force:
                for pair in people():
                    raise refusal(pair, len(pairs), 0)
        self._compared, self._labels = ComparedFaces(), FileLabels()

    def store(self) -> Imported:
        """Store what is new, block by block."""
        new, start, next_count = 0, 0, FIRST_COUNT_ROWS
        people: set[int] = set()
        at_once = ROWS_AT_ONCE if self._database.dialect == "sqlite" else SERVER_ROWS_AT_ONCE
        with self._progress("Storing", self._stored.count(0)) as progress:
            for number, (block, rows) in enumerate(self._rows.blocks()):
                if number >= len(self._digests) or hash(block.text) != self._digests[number]:
                    raise InvalidRequest(f"The file was changed during the import. Of its faces, {new} are stored.")
                for at in range(0, len(rows), at_once):
                    some = rows[at : at + at_once]
                    stored = self._stored[start + at : start + at + len(some)]
                    wanted = [row for row, was in zip(some, stored, strict=True) if not was or row["companions"]]
                    if wanted:
                        new += self._store(wanted, new)
                        people.update(hash(row["user_id"]) for row in wanted)
                    if new >= next_count and self._database.dialect == "postgresql":
                        next_count = 2 * new
                        with self._database.reading() as connection:  # without the lock of writers
                            connection.exec_driver_sql(ANALYSE_TABLES)
                    if progress:
                        progress.advance(stored.count(0))
                start += len(rows)
        if new:
            with self._database.writing() as connection:
                record(connection, "import", details={"faces": new, "people": len(people)})
        self._gallery.load_shared()
        return Imported(self._faces, new, self._rows.card.name)

    def _store(self, rows: Sequence[Row], before: int) -> int:
        """Store some rows, if nobody has enrolled one of their faces meanwhile as somebody else's."""
        refusing = not self._force
        if refusing:
            with self._database.reading() as connection:
                self._changed += self._new_changes(connection)
                self._refuse_changes(connection, rows, self._changed, before)
        with self._database.writing() as connection:
            if refusing:
                changes = self._new_changes(connection)
                self._changed += changes
                self._refuse_changes(connection, rows, changes, before)
            new = store_rows(connection, rows, self._terms)
            if refusing:
                self._version = current_version(connection)
        if self._database.dialect == "sqlite":
            time.sleep(SQLITE_PAUSE_S)
        return new

    def _new_changes(self, connection: sa.Connection) -> list[StoredPhoto]:
        """The photos that others have stored or changed since this was asked last."""
        version = current_version(connection)
        if version == self._version:
            return []
        changes = list(read_photos(connection, self._version))
        self._version = version
        return changes

    def _refuse_changes(
        self, connection: sa.Connection, rows: Sequence[Row], changes: Sequence[StoredPhoto], before: int
    ) -> None:
        if not changes:
            return
        compared, labels = ComparedFaces(), FileLabels()
        compared.add(_photos(connection, rows))
        compared.add(changes)
        labels.add(rows)
        pairs = find_duplicates(compared, len(rows), self._cards)
        for pair in duplicate_pairs(connection, pairs, compared, labels, self._cards):
            raise refusal(pair, 1, before)

    def _progress(self, step: str, total: int) -> Progress | nullcontext[None]:
        return Progress(step, total) if self._rows.file.size >= MIN_BYTES_WITH_PROGRESS else nullcontext()


def _let_others_run_first() -> None:
    """For a thread that compares, and holds no lock that others wait for. Linux has a nice value for each thread."""
    if sys.platform == "linux":
        os.nice(COMPARING_NICE)


def _photos(connection: sa.Connection, rows: Iterable[Row]) -> Iterator[StoredPhoto]:
    for row in rows:
        yield -1, embeddings(row), stored_owner(connection, (row["user_id"], row["name"], row["record_id"]))
