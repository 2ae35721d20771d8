"""Jobs of ``face128 reencode --post`` as they report themselves: how far they are, what failed. They name nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from face128.gallery.storage.tables import collection_of, posting_jobs
from face128.gallery.trail.entry import timestamp

MAX_JOBS = 100
"""Of a collection: those that reported last."""
KEPT_DAYS = 30
STALLED_AFTER_S = 300
"""The service itself takes less for the four photos of a person."""

JobState = Literal["running", "done", "failed", "interrupted"]
JobStage = Literal["encoding", "enrolling"]


@dataclass(frozen=True)
class JobReport:
    state: JobState
    """failed: the job ended with an error. That some photos failed is no such error."""
    stage: JobStage
    """What the numbers count: photos, or people."""
    total: int
    done: int
    """Without the failed ones."""
    failed: int
    errors: dict[str, int]
    """How many failed, by the code of the error."""


@dataclass(frozen=True)
class PostingJob:
    id: str
    report: JobReport
    actor: str
    """The name of the key that reported first."""
    started_at: str
    updated_at: str
    """ISO 8601, in UTC."""

    def stalled(self, now: datetime) -> bool:
        """Whether a job that should run has said nothing for long."""
        silent_s = (now - datetime.fromisoformat(self.updated_at)).total_seconds()
        return self.report.state == "running" and silent_s > STALLED_AFTER_S


def report(
    connection: sa.Connection, job_id: str, new: JobReport, actor: str, now: datetime | None = None
) -> PostingJob:
    """Keep what a job reports, in a writing transaction. For a new job, older ones give way."""
    at = timestamp(now or datetime.now(UTC))
    own = _in_collection(connection) & (posting_jobs.c.job_id == job_id)
    row = connection.execute(sa.select(posting_jobs).where(own)).one_or_none()
    values = {name: getattr(new, name) for name in ("state", "stage", "total", "done", "failed")}
    values |= {"updated_at": at, "details": json.dumps(new.errors)}
    if row is not None:
        connection.execute(sa.update(posting_jobs).where(own).values(values))
        return PostingJob(job_id, new, row.actor, row.started_at, at)
    key = {"collection": collection_of(connection), "job_id": job_id}
    connection.execute(sa.insert(posting_jobs).values(values | key | {"actor": actor, "started_at": at}))
    _forget_old(connection, now or datetime.now(UTC))
    return PostingJob(job_id, new, actor, at, at)


def newest(connection: sa.Connection, now: datetime | None = None) -> list[PostingJob]:
    """The jobs of the collection, those that reported last first."""
    since = timestamp((now or datetime.now(UTC)) - timedelta(days=KEPT_DAYS))
    wanted = sa.select(posting_jobs).where(_in_collection(connection), posting_jobs.c.updated_at > since)
    rows = connection.execute(wanted.order_by(posting_jobs.c.updated_at.desc(), posting_jobs.c.job_id).limit(MAX_JOBS))
    return [
        PostingJob(
            row.job_id,
            JobReport(row.state, row.stage, row.total, row.done, row.failed, json.loads(row.details)),
            row.actor,
            row.started_at,
            row.updated_at,
        )
        for row in rows
    ]


def _forget_old(connection: sa.Connection, now: datetime) -> None:
    kept = [job.id for job in newest(connection, now)]
    old = _in_collection(connection) & posting_jobs.c.job_id.not_in(kept)
    connection.execute(sa.delete(posting_jobs).where(old))


def _in_collection(connection: sa.Connection) -> sa.ColumnElement[bool]:
    return posting_jobs.c.collection == collection_of(connection)
