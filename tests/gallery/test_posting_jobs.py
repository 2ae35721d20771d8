"""What jobs report is kept on every database, for its collection alone, bounded in number and time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from face128.gallery.gallery import Gallery
from face128.gallery.posting_jobs import (
    KEPT_DAYS,
    MAX_JOBS,
    STALLED_AFTER_S,
    JobReport,
    PostingJob,
    newest,
    report,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HALF = JobReport("running", "enrolling", total=10, done=4, failed=1, errors={"no_face": 1})


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with closing(Gallery(database_url)) as gallery:
        yield gallery


def post(gallery: Gallery, job_id: str, new: JobReport = HALF, actor: str = "office", after_s: float = 0) -> PostingJob:
    with gallery.database.writing() as connection:
        return report(connection, job_id, new, actor, NOW + timedelta(seconds=after_s))


def listed(gallery: Gallery, after_s: float = 0) -> list[PostingJob]:
    with gallery.database.reading() as connection:
        return newest(connection, NOW + timedelta(seconds=after_s))


def test_a_job_is_kept_as_it_reported_last(gallery: Gallery) -> None:
    post(gallery, "a")
    done = replace(HALF, state="done", done=9)
    later = post(gallery, "a", done, actor="another", after_s=60)
    assert listed(gallery) == [later]
    assert (later.report, later.actor) == (done, "office")
    assert (later.started_at, later.updated_at) == ("2026-11-30T12:00:00.000000Z", "2026-11-30T12:01:00.000000Z")


def test_jobs_are_of_their_collection_and_the_last_to_report_is_first(gallery: Gallery) -> None:
    post(gallery, "a")
    post(gallery, "A", after_s=1)
    post(gallery.of_collection("north"), "a", after_s=2)
    assert [job.id for job in listed(gallery)] == ["A", "a"]
    assert [job.id for job in listed(gallery.of_collection("north"))] == ["a"]


def test_no_more_are_kept_than_a_page_shows_and_none_for_ever(gallery: Gallery) -> None:
    post(gallery.of_collection("north"), "theirs")
    for index in range(MAX_JOBS + 3):
        post(gallery, f"job{index}", after_s=index)
    assert [job.id for job in listed(gallery)] == [f"job{index}" for index in range(MAX_JOBS + 2, 2, -1)]
    days = KEPT_DAYS * 24 * 3600
    assert listed(gallery, days + 2 * MAX_JOBS) == []
    post(gallery, "new", after_s=days + 2 * MAX_JOBS)
    assert [job.id for job in listed(gallery)] == ["new"], "the old ones are deleted"
    assert [job.id for job in listed(gallery.of_collection("north"))] == ["theirs"]


def test_a_running_job_that_says_nothing_for_long_has_stalled(gallery: Gallery) -> None:
    running, ended = post(gallery, "a"), post(gallery, "b", replace(HALF, state="failed"))
    soon, late = (NOW + timedelta(seconds=STALLED_AFTER_S + more) for more in (0, 1))
    assert (running.stalled(soon), running.stalled(late), ended.stalled(late)) == (False, True, False)
