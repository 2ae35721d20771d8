"""What somebody who looks after a gallery wants to see first: its numbers, and what was decided lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from face128.domain.decision_rule import Verdict
from face128.gallery.details import details
from face128.gallery.gallery import Gallery
from face128.gallery.people import people_pages
from face128.gallery.posting_jobs import PostingJob, newest
from face128.gallery.rows.statements import count_faces
from face128.gallery.storage.tables import decisions, in_collection
from face128.gallery.trail import reviews
from face128.gallery.trail.entry import timestamp


@dataclass(frozen=True)
class GalleryOverview:
    """Of one collection."""

    people: int
    photos: int
    collections: int
    """That have any photos, as far as this collection is told of others."""
    decisions: dict[Verdict, int] | None
    """Since the given time, by verdict; None where none are kept."""
    to_review: int
    """Decisions that are to be looked at again."""
    jobs: list[PostingJob]
    details: dict[str, Any]
    """As /ready?details has them."""


def overview(gallery: Gallery, since: datetime) -> GalleryOverview:
    """``since`` has a time zone."""
    keeps = gallery.retention.decision_days > 0
    with gallery.database.reading() as connection:
        counts = count_verdicts(connection, since) if keeps else None
        photos, jobs = count_faces(connection), newest(connection)
        waiting = reviews.count_waiting(connection) if keeps else 0
    people, collections = people_pages.count(gallery.database), len(gallery.collections())
    return GalleryOverview(people, photos, collections, counts, waiting, jobs, details(gallery))


def count_verdicts(connection: sa.Connection, since: datetime) -> dict[Verdict, int]:
    """How many kept decisions there are of each verdict, from a time on."""
    wanted = sa.select(decisions.c.verdict, sa.func.count()).where(
        in_collection(connection, decisions), decisions.c.at >= timestamp(since)
    )
    found = {verdict: count for verdict, count in connection.execute(wanted.group_by(decisions.c.verdict))}
    return {"yes": found.get("yes", 0), "look_again": found.get("look_again", 0), "no": found.get("no", 0)}
