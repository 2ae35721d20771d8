"""Response models: FastAPI documents the answers by them, and checks the answers before it sends them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from face128.api.responses.photo_facts import Adjusted, Quality
from face128.errors import answer_codes

Box = Annotated[list[int], Field(min_length=4, max_length=4)]
"""Left, top, right, bottom, in pixels of the photo as it was sent, upright by its metadata alone. A list: many OpenAPI
tools cannot read prefixItems."""
Companions = dict[str, list[float]]
"""The descriptors of one face by further networks, by their models' names."""
Point = Annotated[list[int], Field(min_length=2, max_length=2)]


class Problem(BaseModel):
    """Every error. Some have more fields: the invalid field, the member's regNo, the boxes of the faces."""

    model_config = ConfigDict(extra="allow")

    error: str
    code: Annotated[str, Field(json_schema_extra={"enum": answer_codes()})]


class Health(BaseModel):
    status: Literal["healthy"]
    model: str
    model_loaded: bool
    version: str
    licences: dict[str, str]


class Ready(BaseModel):
    status: Literal["ready"]
    engines: dict[str, str]
    decision_models: str | None = None  # "ready", or what is missing; absent if dlib's network decides alone
    database: str | None = None  # "ready", or what is wrong; absent if the service has no gallery
    database_error: str | None = None
    details: dict[str, Any] | None = None  # with ?details, of the gallery


class Evidence(BaseModel):
    """What ?explain=true adds; score and stranger_risk need 7 members, and at most 20,000 in a list."""

    distance: float | None = None
    threshold: float | None = None
    model: str | None = None  # of the distance: a model, or the pair of two
    models: list[str] | None = None  # those that decided, where there are several
    margin: float | None = None
    score: float | None = None
    stranger_risk: float | None = None
    decision: DecisionRule | None = None
    verdict: Literal["yes", "look_again", "no"] | None = None  # with a review_alpha; look_again is no match


class Explained(Evidence):
    runner_up: RunnerUp | None = None
    mixed_models: Literal[True] | None = None
    skipped: list[SkippedEntry] | None = None  # with ?skip_invalid=true
    skipped_count: int | None = None


class DecisionRule(BaseModel):
    """The rule that decided; absent for a threshold alone."""

    rule: Literal["threshold", "cohort"]
    alpha: float | None = None  # of the cohort rule
    tail: Literal["exact", "estimate"] | None = None  # what computed stranger_risk
    sampled: Literal[True] | None = None  # the estimate is that of a sample of the gallery
    review_alpha: float | None = None


class RunnerUp(BaseModel):
    regNo: int | float | str
    name: str | None
    distance: float
    model: str | None = None  # where it is another than that of the decision
    threshold: float | None = None  # of that model


class Matched(Explained):
    regNo: int | float | str
    name: str | None


class NotMatched(Explained):
    match: Literal[False]


class SkippedEntry(BaseModel):
    index: int
    regNo: int | float | str | None
    field: str
    code: str


class UploadedListState(BaseModel):
    digest: str
    members: int
    descriptors: int
    skipped: list[SkippedEntry]
    skipped_count: int
    expires_in: float


class Encoded(BaseModel):
    descriptor: list[float]
    model: str
    bbox: Box
    confidence: float
    face_count: int
    roll: float | None  # clockwise rotation of the head in degrees; null if the engine's landmarks do not show it
    companions: Companions | None = None  # with ?companions=true
    adjusted: Adjusted | None = None  # absent if nothing was done to the photo
    quality: Quality | None = None  # with ?quality=true


class FaceLocation(BaseModel):
    bbox: Box
    confidence: float
    adjusted: Adjusted | None = None  # absent if nothing was done to the photo


class FaceWithLandmarks(FaceLocation):
    landmarks: list[Point]
    quality: Quality | None = None  # with ?quality=true


class Detected(BaseModel):
    detected: bool
    face_count: int
    confidence: float
    message: str
    model: str
    faces: list[FaceWithLandmarks]
    adjusted: Adjusted | None = None  # of the face with the highest confidence
    quality: Quality | None = None  # with ?quality=true, of the face with the highest confidence


class Verified(FaceLocation):
    face_detected: Literal[True]
    message: str


class NotVerified(BaseModel):
    face_detected: Literal[False]
    error: str


class Extracted(FaceLocation):
    success: Literal[True]
    embedding: list[float]
    embedding_size: int
    face_detected: Literal[True]
    model: str
    companions: Companions | None = None  # with ?companions=true


class ComparedFaces(BaseModel):
    similarity: float
    distance: float
    metric: str


class Compared(BaseModel):
    success: Literal[True]
    similarity: float
    confidence: float
    same_person: bool
    distance: float
    threshold: float
    model: str
    adjusted: dict[str, Adjusted] | None = None  # by image1 and image2; absent if nothing was done to either


class BatchResult(BaseModel):
    """The descriptor of one photo, or its error."""

    model_config = ConfigDict(extra="allow")

    index: int
    face_detected: bool
    embedding: list[float] | None = None
    companions: Companions | None = None  # with ?companions=true
    bbox: Box | None = None
    confidence: float | None = None
    adjusted: Adjusted | None = None
    error: str | None = None
    code: str | None = None


class Batch(BaseModel):
    results: list[BatchResult]
    total: int
    successful: int
    failed: int
    model: str


class PersonTerms(BaseModel):
    """What is agreed with a person; a field is absent where nothing is known."""

    expires_at: str | None = None  # ISO 8601, with the zone Z
    consent: str | None = None
    last_seen: str | None = None  # a day; only where decisions are kept


class FaceRecord(PersonTerms):
    id: str
    name: str | None
    metadata: dict[str, Any]
    created_at: str  # ISO 8601, in UTC
    embedding_index: int  # the number of older records
    adjusted: Adjusted | None = None  # absent if nothing is stored about the photo
    quality: Quality | None = None  # likewise


class PersonEntry(PersonTerms):
    user_id: str
    regNo: int | float | str
    name: str | None
    photos: int
    first_enrolled: str  # of the oldest photo; ISO 8601, in UTC
    last_enrolled: str


class People(BaseModel):
    people: list[PersonEntry]
    next: str | None  # the `after` of the next page; null at the end


class PersonPhoto(BaseModel):
    id: str
    model: str
    companions: list[str] | None = None  # the models of its other descriptors
    created_at: str  # ISO 8601, in UTC
    metadata: dict[str, Any]
    adjusted: Adjusted | None = None
    quality: Quality | None = None
    thumbnail_until: str | None = None  # the console shows a small picture until then: FACE128_THUMBNAILS_HOURS


class PersonFile(PersonTerms):
    user_id: str
    regNo: int | float | str
    name: str | None
    photos: list[PersonPhoto]
    linked: list[str]  # the ids of records of this name, which are the same person


class Merged(BaseModel):
    status: Literal["success"]
    faces_moved: int
    pending: Literal[True] | None = None


class RecordCreated(BaseModel):
    success: Literal[True]
    message: str
    record: FaceRecord
    quality: Quality  # of the photo that was sent


class Records(BaseModel):
    total_count: int
    records: list[FaceRecord]


class RecordFound(BaseModel):
    id: str
    name: str | None
    confidence: float
    distance: float
    metadata: dict[str, Any]


class RecordMatch(BaseModel):
    recognized: bool
    best_match: RecordFound | None
    top_matches: list[RecordFound]
    face_detected: Literal[True]
    processing_time_ms: float


class RecordDeleted(BaseModel):
    success: Literal[True]
    message: str
    deleted_id: str
    pending: Literal[True] | None = None


class Rebuilt(BaseModel):
    success: Literal[True]
    records: int
    seconds: float


class DecisionKept(BaseModel):
    id: int
    at: str  # ISO 8601, with the zone Z
    kind: Literal["search", "verify"]  # among all, or of one person
    user_id: str | None  # who was found, or is to be looked at again; of "verify", who was asked for
    verdict: Literal["yes", "look_again", "no"]
    distance: float | None
    stranger_risk: float | None  # where the rule computes it
    rule: str
    model: str
    key: str  # the name of the API key; empty where none is needed
    request_id: str


class Decisions(BaseModel):
    decisions: list[DecisionKept]
    next: int | None


class Job(BaseModel):
    """A job that enrols people here from elsewhere."""

    id: str
    state: Literal["running", "done", "failed", "interrupted"]
    stage: Literal["encoding", "enrolling"]
    total: int  # photos that are encoded, people that are enrolled
    done: int
    failed: int
    errors: dict[str, int]  # how many failed, by code
    stalled: bool  # it should run, and has said nothing for five minutes
    key: str  # the name of the API key; empty where none is needed
    started_at: str  # ISO 8601, with the zone Z
    updated_at: str


class Jobs(BaseModel):
    jobs: list[Job]


class Collection(BaseModel):
    collection: str
    faces: int


class Collections(BaseModel):
    collections: list[Collection]


class Enrolled(BaseModel):
    status: Literal["success"]
    faces_stored: int
    quality: list[Quality]  # of each photo, in the order in which they were sent
    adjusted: list[Adjusted] | None = None  # likewise, {} where nothing was done; absent if nothing was to any


class Erased(BaseModel):
    status: Literal["success"]
    faces_deleted: int
    pending: Literal[True] | None = None


class VerifiedPerson(BaseModel):
    verified: bool
    user_id: str
    name: str | None
    distance: float
    threshold: float
    model: str


class Granted(Evidence):
    status: Literal["access_granted"]
    user_id: str
    name: str | None


class Denied(Evidence):
    status: Literal["access_denied"]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's error answers for OpenAPI.

    A route that reads a body (413) may also refuse its encoding (415), time out (408) or be full (503).
    """
    body_statuses = (408, 415, 503) if 413 in statuses else ()
    return {status: {"model": Problem} for status in sorted({*statuses, *body_statuses})}


PHOTO_ERRORS = problems(400, 413, 415, 422)
REFUSED = problems(401, 403, 422, 429)
"""Errors of every route that needs a key: no valid key, a key without the scope or for another collection, no name of a
collection, too many wrong keys."""
