"""Jobs that enrol people here from elsewhere, ``face128 reencode --post``: what they report of themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import needs
from face128.api.openapi.body_schemas import JOB_BODY, JOB_ID
from face128.api.requests.bodies import read_json
from face128.api.requests.job_report import ReportedJob
from face128.api.responses import schemas
from face128.api.responses.schemas import REFUSED, problems
from face128.caller import caller

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.posting_jobs import PostingJob

router = APIRouter(responses=REFUSED, tags=["enrol and match"])

MAX_BODY_BYTES = 16 * 1024

JobId = Annotated[str, Path(pattern=JOB_ID["pattern"], description="1 to 64 letters, digits, dashes and underscores.")]


@router.get("/jobs", responses=problems(422, 503), dependencies=needs("gallery"))
async def list_jobs(access: GalleryDep) -> schemas.Jobs:
    """The jobs that enrol people here from elsewhere, the one that reported last first: at most 100, of 30 days."""

    def read(gallery: Gallery) -> list[PostingJob]:
        from face128.gallery.posting_jobs import newest

        with gallery.database.reading() as connection:
            return newest(connection)

    return schemas.Jobs(jobs=list(map(_answer, await access.run(read))))


@router.put("/jobs/{job_id}", responses=problems(400, 413, 422), openapi_extra=JOB_BODY, dependencies=needs("gallery"))
async def report_job(job_id: JobId, request: Request, access: GalleryDep) -> schemas.Job:
    """Report how far a job is; it chooses its own id. `face128 reencode --post` does.

    `total`, `done` and `failed` count photos in the stage `encoding`, people in the stage `enrolling`; `errors` has how
    many failed by code.
    """
    document = await read_json(request, MAX_BODY_BYTES)
    try:
        reported = ReportedJob.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        known = [name for name in first["loc"][:1] if name in ReportedJob.model_fields]  # others are the caller's words
        raise RequestValidationError([{**first, "loc": ("body", *known)}]) from None
    actor = caller.get()

    def change(gallery: Gallery) -> PostingJob:
        from face128.gallery.posting_jobs import JobReport, report

        with gallery.database.writing() as connection:
            return report(connection, job_id, JobReport(**reported.model_dump()), actor)

    return _answer(await access.change(change))


def _answer(job: PostingJob) -> schemas.Job:
    values: dict[str, Any] = vars(job.report)
    return schemas.Job(
        id=job.id,
        **values,
        stalled=job.stalled(datetime.now(UTC)),
        key=job.actor,
        started_at=job.started_at,
        updated_at=job.updated_at,
    )
