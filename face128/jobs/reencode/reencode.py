"""face128 reencode: every member's photos in, a file for /match out. Resumable at any moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from face128.errors import Face128Error, ModelMismatch
from face128.jobs.execution.backends import Workers
from face128.jobs.execution.local_backend import run_in_groups
from face128.jobs.execution.photo_task import Outcome, Task, read, work
from face128.jobs.execution.progress import shown
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.journal import Journal
from face128.jobs.reencode.member_photos import Listing
from face128.jobs.reencode.remote_enrolment import Service, post
from face128.jobs.reencode.results import Failure, Member, grouped, write_enrolled, write_failures

CRASHED = "The process that worked on this photo died: the file is damaged in a way that crashes its decoder."


@dataclass(frozen=True)
class Reencoding:
    members: list[Member]
    failures: list[Failure]
    photos: int
    encoded_now: int
    """Photos that this run described; the journal had the others."""
    posted: int
    """Members that the service has."""


def reencode(
    listing: Listing, recipe: Recipe, out: Path, workers: Workers, service: Service | None = None
) -> Reencoding:
    """Write ``out``, ``out`` with ``.failed.csv``, and the journal beside it. A second run does only what is left.

    The members are also enrolled in ``service``, if there is one; what it refused stands among the failures.

    Raises ConfigurationError for an engine that cannot be had or a disk that is full, and ModelMismatch where a worker
    has another version of the model.
    """
    version = recipe.version
    sources = {item.photo: item.source for item in listing.photos}
    encoded_now = 0
    with Journal(out.with_suffix(".journal.jsonl"), version) as journal:
        tasks = _tasks(sources, journal, workers.photos_travel)
        for task, outcome in run_in_groups(workers.run, partial(work, recipe), tasks, len(sources)):
            if outcome is None:
                outcome = Outcome(task.photo, version, code="crashed", error=CRASHED)
            if outcome.unchanged:
                continue
            if outcome.version != version:
                raise ModelMismatch("A worker has another version of the model or of its pipeline than this machine.")
            journal.add(outcome)
            encoded_now += outcome.descriptor is not None
        journal.sync()
        members, failures = grouped(listing, journal.lines)
    card = recipe.load().card
    write_enrolled(out, members, card)
    enrolled = 0
    if service:
        enrolled, refused = post(service, members, out.with_suffix(".posted"))
        failures += refused
    write_failures(out.with_suffix(".failed.csv"), failures)
    return Reencoding(members, failures, len(sources), encoded_now, enrolled)


def _tasks(sources: dict[str, str], journal: Journal, photos_travel: bool) -> Iterator[Task]:
    """A task for each photo, counted as it is handed over; those done before only where the worker has to see that."""
    for photo, source in shown(sources.items(), len(sources), "photos"):
        line = journal.lines.get(photo)
        task = Task(photo, source, line.done if line else None)
        if photos_travel and "://" not in source:
            try:
                task = replace(task, data=read(source))
            except Face128Error:
                pass  # it is not there for the worker either, and he says so
            else:
                if hashlib.sha256(task.data or b"").hexdigest() == task.known:
                    continue
        yield task
