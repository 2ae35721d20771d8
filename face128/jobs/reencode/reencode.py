"""face128 reencode: describes every member's photos and writes a file for /match. A second run does what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from face128.domain.template import Template
from face128.errors import BadRequest, ModelMismatch
from face128.jobs.execution.backend import Backend, Loss
from face128.jobs.execution.photo_task import LOSS_SENTENCES, PhotoResult, PhotoTask, read_or_error, run_tasks
from face128.jobs.execution.progress import with_progress
from face128.jobs.execution.recipe import Recipe
from face128.jobs.files import holds_data, replacing
from face128.jobs.photo_quality import PhotoQualities
from face128.jobs.reencode.journal import Journal
from face128.jobs.reencode.listing import PhotoListing
from face128.jobs.reencode.member_templates import with_templates
from face128.jobs.reencode.output_formats import Writer, write_match_body
from face128.jobs.reencode.remote_enrolment import RemoteService, enrol_members
from face128.jobs.reencode.results import (
    EncodedMember,
    PhotoFailure,
    ResultFiles,
    group_by_member,
    photo_qualities,
    write_failures,
    write_poor_photos,
)

if TYPE_CHECKING:
    from face128.jobs.reencode.descriptor_column import DescriptorColumn


@dataclass(frozen=True)
class Reencoding:
    members: list[EncodedMember]
    failures: list[PhotoFailure]
    photo_count: int
    encoded_now: int
    """Photos that this run described; the others were in the journal."""
    enrolled_count: int
    """Members that are enrolled in the remote service."""
    written_count: int
    """Members whose descriptor is in the members' table."""
    qualities: PhotoQualities


def reencode(
    listing: PhotoListing,
    recipe: Recipe,
    out: Path,
    backend: Backend,
    write_members: Writer = write_match_body,
    service: RemoteService | None = None,
    column: DescriptorColumn | None = None,
    template: Template = "nearest",
) -> Reencoding:
    """Write the ResultFiles of ``out``. A second run does only what is left.

    With the ``template`` "mean", one descriptor is written for each member, and the photos that it leaves out are among
    the failures.

    With ``service``, the members are also enrolled there, and with ``column`` their descriptors are written to it; what
    either refuses is among the failures.

    Raises BadRequest, and leaves ``out`` as it was, if there is no photo, or if no photo could be described and ``out``
    holds members. Raises ConfigurationError if the engine cannot be loaded, the disk is full, or the workers, the
    service or the database are lost, and ModelMismatch if a worker has another version of the model.
    """
    if not listing.photos:
        rejected = listing.rejected
        hint = f": {len(rejected)} files or rows cannot be used. The first: {rejected[0].error}" if rejected else "."
        raise BadRequest(f"There are no photos{hint}")
    card = recipe.load().card
    if column:
        column.check_writable(card)
    result_files = ResultFiles.beside(out)
    version = recipe.version
    sources = {item.photo: item.source for item in listing.photos}
    encoded_now = 0
    with closing(Journal(result_files.journal, version)) as journal:
        tasks = _tasks(sources, journal, backend.sends_photos)
        for task, result in backend.run(partial(run_tasks, recipe), tasks, len(sources)):
            if isinstance(result, Loss):
                result = PhotoResult(task.photo, version, code=result.value, error=LOSS_SENTENCES[result])
            if result.unchanged:
                continue
            if result.version != version:
                raise ModelMismatch("A worker has another version of the model or of its pipeline than this machine.")
            journal.add(result)
            encoded_now += result.descriptor is not None
        journal.sync()
        members, failures = group_by_member(listing, journal.entries)
    if holds_data(out) and not any(member.photos for member in members):
        write_failures(result_files.failed, failures)
        raise BadRequest(f"No photo could be described. {out} stays as it was; {result_files.failed.name} says why.")
    described = members
    if template == "mean":
        described, left_out = with_templates(members, card)
        failures += left_out
    with replacing(out) as file:
        write_members(file, described, card)
    enrolled_count = written_count = 0
    if column:
        written_count, refused = column.write(described, result_files.written)
        failures += refused
    if service:
        enrolled_count, refused = enrol_members(service, members, result_files.posted)
        failures += refused
    qualities = photo_qualities(members)
    write_poor_photos(result_files.poor, qualities.poor)
    write_failures(result_files.failed, failures)
    return Reencoding(members, failures, len(sources), encoded_now, enrolled_count, written_count, qualities)


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
