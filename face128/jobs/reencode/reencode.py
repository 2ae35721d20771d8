"""face128 reencode: describes every member's photos and writes a file for /match. A second run does what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from face128.domain.model_card import ModelCard
from face128.domain.template import Template
from face128.errors import BadRequest, ModelMismatch
from face128.jobs.execution.backend import Backend, Loss
from face128.jobs.execution.interrupt import Interrupt
from face128.jobs.execution.photo_task import LOSS_SENTENCES, PhotoResult, PhotoTask, read_or_error, run_tasks
from face128.jobs.execution.recipe import Recipe
from face128.jobs.files import replacing
from face128.jobs.photo_quality import PhotoQualities
from face128.jobs.reencode.again import Again, photograph_again, write_again
from face128.jobs.reencode.changes import find_waiting
from face128.jobs.reencode.earlier_list import EarlierList
from face128.jobs.reencode.folder_photos import NO_NUMBER
from face128.jobs.reencode.job_reports import JobReports
from face128.jobs.reencode.journal import Entries, Journal, done_sha256
from face128.jobs.reencode.listing import PhotoListing
from face128.jobs.reencode.member_templates import with_templates
from face128.jobs.reencode.output_formats import Writer, write_match_body
from face128.jobs.reencode.remote_enrolment import check_service, enrol_members
from face128.jobs.reencode.remote_service import RemoteService
from face128.jobs.reencode.result_files import ResultFiles
from face128.jobs.reencode.results import (
    Counts,
    EncodedMember,
    PhotoFailure,
    count_photos,
    group_by_member,
    photo_qualities,
    write_failures,
    write_poor_photos,
)
from face128.terminal.progress import Progress
from face128.terminal.speech import plural

if TYPE_CHECKING:
    from face128.jobs.reencode.descriptor_column import DescriptorColumn


@dataclass(frozen=True)
class Job:
    """What to do with the members' photos."""

    recipe: Recipe
    out: Path
    backend: Backend
    write_members: Writer = write_match_body
    service: RemoteService | None = None
    """Where the members are enrolled as well."""
    columns: Sequence[DescriptorColumn] = ()
    """Where their descriptors are written as well."""
    template: Template = "nearest"
    """"mean": one descriptor is written for each member, and the photos that it leaves out are among the failures."""
    force: bool = False
    """Replace the list even by nobody, or by far fewer members than it has."""
    source: str = "this"
    """What the members come from, for sentences."""


@dataclass(frozen=True)
class Reencoding:
    members: list[EncodedMember]
    failures: list[PhotoFailure]
    """Photos without a descriptor, and what the template, the service and the table refuse."""
    refused: list[PhotoFailure]
    """Those of the failures that the service and the table refuse."""
    counts: Counts
    left_out: list[str]
    """Files that are no photos."""
    without: list[Again]
    """Who must be photographed, for they have no descriptor."""
    only_poor: list[Again]
    qualities: PhotoQualities
    enrolled_count: int | None
    """Members that are enrolled in the remote service; None without one."""
    written_counts: dict[str, int] = field(default_factory=dict)
    """For each column: members whose descriptor is in it."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C. ``saved``: what is kept, as a sentence."""

    def __init__(self, saved: str) -> None:
        super().__init__(saved)
        self.saved = saved


def reencode(listing: PhotoListing, job: Job) -> Reencoding:
    """Write the ResultFiles of ``job.out``. A second run does only what is left.

    Raises BadRequest, and leaves ``out`` as it was, if nobody could be described or far fewer members than it has,
    without ``force``. Raises ConfigurationError if an engine cannot be loaded, the disk is full, or the workers, the
    service or the database are lost, ModelMismatch if a worker has another version of the model, and Stopped.
    """
    earlier = EarlierList.read(job.out)
    if not listing.photos and not job.force:
        rejected = listing.rejected
        hint = f": {len(rejected)} files or rows cannot be used. The first: {rejected[0].error}" if rejected else "."
        if rejected and rejected[0].error == NO_NUMBER:
            hint += " Where a folder or a file has only a person's name: --pattern '{name}/*' or '{name}'."
        raise BadRequest(f"There are no photos in {job.source}{hint}")
    if not job.force:
        earlier.refuse_loss(listing.member_names, job.source)
    cards = job.recipe.cards
    for column in job.columns:
        column.check_writable()
    if job.service:
        check_service(job.service)
    files = ResultFiles.beside(job.out)
    with JobReports(job.service) as reports:
        entries, encoded_now = _encode(listing, job, files, reports)
        try:
            return _write(listing, job, files, cards, entries, encoded_now, earlier, reports)
        except KeyboardInterrupt:
            Interrupt().announce()
            raise Stopped(f"All photos are saved in {files.journal}. What comes after them is not complete.") from None


def _encode(listing: PhotoListing, job: Job, files: ResultFiles, reports: JobReports) -> tuple[list[Entries], set[str]]:
    """The journal's results for each engine, and the photos that this run has looked at."""
    sources = {item.photo: item.source for item in listing.photos}
    versions = job.recipe.versions
    encoded_now: set[str] = set()
    with closing(Journal(files.journal, versions)) as journal:
        limits, reads_here = job.recipe.limits, job.backend.reads_here
        waiting = find_waiting(sources, journal.entries, limits, reads_here=reads_here)
        reports.begin("encoding", len(sources), done=len(sources) - len(waiting))
        if waiting:
            job.recipe.load()  # in this process too: wrong settings show before any work begins
            with Interrupt() as interrupt, Progress("Encoding photos", len(sources)) as bar:
                bar.found_done(len(sources) - len(waiting))
                tasks = _tasks(waiting, journal.entries, job.backend.sends_photos)
                for task, found in job.backend.run(partial(run_tasks, job.recipe), tasks, len(waiting), interrupt):
                    results = _lost(task, versions, found) if isinstance(found, Loss) else found
                    if any(result.version not in versions for result in results):
                        raise ModelMismatch(
                            "A worker has another version of a model or its pipeline than this machine."
                        )
                    if results:
                        journal.add(results)
                        encoded_now.add(task.photo)
                        bar.advance()
                    else:
                        bar.found_done()
                    reports.add(next((result.code for result in results if result.code), None))
            journal.sync()
            if interrupt.requested:
                interrupt.announce()
                saved = sum(None not in done_sha256(journal.entries, photo) for photo in sources)
                raise Stopped(f"{saved:,} of {len(sources):,} photos are saved in {files.journal}.")
        return journal.entries, encoded_now


def _lost(task: PhotoTask, versions: Sequence[str], loss: Loss) -> list[PhotoResult]:
    """Of the engines that have not done the photo: what the others have found stays."""
    versions = [version for version, done in zip(versions, task.done, strict=True) if done is None] or versions
    return [PhotoResult(task.photo, version, code=loss.value, error=LOSS_SENTENCES[loss]) for version in versions]


def _tasks(waiting: Mapping[str, str], entries: list[Entries], sends_photos: bool) -> Iterator[PhotoTask]:
    for photo, source in waiting.items():
        done = done_sha256(entries, photo)
        data = read_or_error(source) if sends_photos and "://" not in source else None
        if not isinstance(data, bytes):  # an error is the worker's to report: it cannot read the photo either
            yield PhotoTask(photo, source, done)
        else:
            yield PhotoTask(photo, source, done, data)


def _write(
    listing: PhotoListing,
    job: Job,
    files: ResultFiles,
    cards: Sequence[ModelCard],
    entries: list[Entries],
    encoded_now: set[str],
    earlier: EarlierList,
    reports: JobReports,
) -> Reencoding:
    members, failures = group_by_member(listing, cards, entries)
    counts, qualities = count_photos(members, failures, encoded_now), photo_qualities(members)
    without, only_poor = photograph_again(members, failures, qualities)
    write_again(files.again, [*without, *only_poor])
    write_failures(files.failed, failures)
    write_poor_photos(files.poor, qualities.poor)
    if not job.force:
        names = {str(member.reg_no) for member in members if member.descriptors}
        if not names:
            raise BadRequest(
                f"Nobody was found in {plural(counts.photos, 'photo')} of {job.source}: {files.failed} says why. "
                f"{job.out} stays as it was. Add --force to write it all the same."
            )
        earlier.refuse_loss(names, job.source)
    described = members
    if job.template == "mean":
        described, left_out = with_templates(members, cards)
        failures += left_out
    with Progress(f"Writing {job.out.name}"), replacing(job.out, files.before) as file:
        job.write_members(file, described, cards)
    written_counts, enrolled_count = {}, None
    refused: list[PhotoFailure] = []
    for column in job.columns:
        written_counts[column.path], by_column = column.write(described, files.written)
        refused += [failure for failure in by_column if failure not in [*failures, *refused]]
    if job.service:
        enrolled_count, by_service = enrol_members(job.service, members, files.posted, reports)
        refused += by_service
    failures += refused
    write_failures(files.failed, failures)
    again = without, only_poor
    return Reencoding(
        members, failures, refused, counts, listing.left_out, *again, qualities, enrolled_count, written_counts
    )
