"""face128 reencode: describes every member's photos and writes a file for /match. A second run does what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from face128.errors import ModelMismatch
from face128.jobs.execution.backend import Backend
from face128.jobs.execution.photo_task import CRASHED, PhotoResult, PhotoTask, read_or_error, run_tasks
from face128.jobs.execution.progress import with_progress
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.journal import Journal
from face128.jobs.reencode.member_photos import PhotoListing
from face128.jobs.reencode.remote_enrolment import RemoteService, enrol_members
from face128.jobs.reencode.results import EncodedMember, PhotoFailure, group_by_member, write_enrolled, write_failures

CRASHED_SENTENCE = (
    "The process that worked on this photo died or took longer than FACE128_PHOTO_SECONDS: the file may be damaged."
)


@dataclass(frozen=True)
class Reencoding:
    members: list[EncodedMember]
    failures: list[PhotoFailure]
    photo_count: int
    encoded_now: int
    """Photos that this run described; the others were in the journal."""
    enrolled_count: int
    """Members that are enrolled in the remote service."""


def reencode(
    listing: PhotoListing, recipe: Recipe, out: Path, backend: Backend, service: RemoteService | None = None
) -> Reencoding:
    """Write ``out``, ``out`` with ``.failed.csv``, and the journal beside it. A second run does only what is left.

    With ``service``, the members are also enrolled there; what it refuses is among the failures.

    Raises ConfigurationError if the engine cannot be loaded, the disk is full, or the workers or the service are lost,
    and ModelMismatch if a worker has another version of the model.
    """
    version = recipe.version
    sources = {item.photo: item.source for item in listing.photos}
    encoded_now = 0
    with closing(Journal(out.with_suffix(".journal.jsonl"), version)) as journal:
        tasks = _tasks(sources, journal, backend.sends_photos)
        for task, result in backend.run(partial(run_tasks, recipe), tasks, len(sources)):
            if result is None:
                result = PhotoResult(task.photo, version, code=CRASHED, error=CRASHED_SENTENCE)
            if result.unchanged:
                continue
            if result.version != version:
                raise ModelMismatch("A worker has another version of the model or of its pipeline than this machine.")
            journal.add(result)
            encoded_now += result.descriptor is not None
        journal.sync()
        members, failures = group_by_member(listing, journal.entries)
    card = recipe.load().card
    write_enrolled(out, members, card)
    enrolled_count = 0
    if service:
        enrolled_count, refused = enrol_members(service, members, out.with_suffix(".posted"))
        failures += refused
    write_failures(out.with_suffix(".failed.csv"), failures)
    return Reencoding(members, failures, len(sources), encoded_now, enrolled_count)


def _tasks(sources: dict[str, str], journal: Journal, sends_photos: bool) -> Iterator[PhotoTask]:
    """A task for each photo, counted as it is sent; without those that are done, if the photo is read here."""
    for photo, source in with_progress(sources.items(), len(sources), "photos"):
        entry = journal.entries.get(photo)
        done_sha256 = entry.done_sha256 if entry else None
        data = read_or_error(source) if sends_photos and "://" not in source else None
        if not isinstance(data, bytes):  # an error is the worker's to report: it cannot read the photo either
            yield PhotoTask(photo, source, done_sha256)
        elif hashlib.sha256(data).hexdigest() != done_sha256:
            yield PhotoTask(photo, source, done_sha256, data)
