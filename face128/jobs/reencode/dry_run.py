"""What a re-encoding would do, and about how long it would take. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from face128.jobs.execution.backend import MAX_BATCH_PHOTOS
from face128.jobs.execution.photo_task import read_or_error
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.changes import find_waiting
from face128.jobs.reencode.earlier_list import EarlierList
from face128.jobs.reencode.journal import read_entries
from face128.jobs.reencode.listing import PhotoListing
from face128.jobs.reencode.reencode import Job
from face128.jobs.reencode.result_files import ResultFiles
from face128.terminal.progress import Progress

TRIED_PHOTOS = 2 * MAX_BATCH_PHOTOS
TRIAL_S = 5.0
START_S = 2.0  # of the processes and their engines


@dataclass(frozen=True)
class Forecast:
    waiting: int
    """Photos to encode."""
    from_before: int
    seconds: float
    tried: int
    """Photos that were encoded to know how long the others take."""
    earlier: EarlierList


def forecast(listing: PhotoListing, job: Job, processes: int) -> Forecast:
    """Raises BadRequest where the job would be refused before it begins, and ConfigurationError without an engine."""
    earlier = EarlierList.read(job.out)
    if not job.force:
        earlier.refuse_loss(listing.member_names, job.source)
    sources = {item.photo: item.source for item in listing.photos}
    entries = read_entries(ResultFiles.beside(job.out).journal, job.recipe.versions)
    waiting = list(find_waiting(sources, entries, job.recipe.limits, reads_here=job.backend.reads_here).values())
    # From everywhere in the list: one camera's photos may stand together.
    tried = waiting[:: max(1, len(waiting) // TRIED_PHOTOS)][:TRIED_PHOTOS]
    count, seconds_each = _try(tried, job.recipe)
    seconds = START_S + seconds_each * len(waiting) / min(processes, max(1, len(waiting))) if waiting else 0.0
    return Forecast(len(waiting), len(sources) - len(waiting), seconds, count, earlier)


def _try(sources: Sequence[str], recipe: Recipe) -> tuple[int, float]:
    """How many photos were encoded, and the seconds that each took."""
    if not sources:
        return 0, 0.0
    recipe.load()
    started, count = time.monotonic(), 0
    with Progress("Trying some photos", len(sources)) as bar:
        for source in sources:
            recipe.describe([read_or_error(source)])
            count += 1
            bar.advance()
            if time.monotonic() - started > TRIAL_S:
                break
    return count, (time.monotonic() - started) / count
