"""The shapes of the answers, for OpenAPI and for checking what leaves the service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = Annotated[list[int], Field(min_length=4, max_length=4)]
"""Left, top, right, bottom, in pixels of the upright photo. (Not a tuple: many tools cannot read prefixItems.)"""
Point = Annotated[list[int], Field(min_length=2, max_length=2)]


class Problem(BaseModel):
    """Every error. Some carry more: the field, the member's regNo, the boxes of the faces."""

    model_config = ConfigDict(extra="allow")

    error: str
    code: str


class Health(BaseModel):
    status: Literal["healthy"]
    model: str
    model_loaded: bool
    version: str
    licences: dict[str, str]


class Ready(BaseModel):
    status: Literal["ready"]
    engines: dict[str, str]
    database: Literal["ready"] | None = None
    """Only where the service has a gallery."""


class Explained(BaseModel):
    """What ?explain=true adds; score and stranger_risk where there are seven members or more (and 20,000 at most)."""

    distance: float | None = None
    threshold: float | None = None
    model: str | None = None
    runner_up: RunnerUp | None = None
    margin: float | None = None
    mixed_models: Literal[True] | None = None
    score: float | None = None
    stranger_risk: float | None = None
    decision: Cohort | None = None


class Cohort(BaseModel):
    """The cohort rule, where it decided."""

    rule: Literal["cohort"]
    alpha: float


class RunnerUp(BaseModel):
    regNo: int | float | str
    name: str | None
    distance: float


class Matched(Explained):
    regNo: int | float | str
    name: str | None


class NotMatched(Explained):
    match: Literal[False]


class Encoded(BaseModel):
    descriptor: list[float]
    model: str
    bbox: Box
    confidence: float
    face_count: int
    roll: float | None
    """Degrees by which the head is turned clockwise; null where the engine's landmarks do not tell."""


class Seen(BaseModel):
    """Where a face is, in pixels of the upright photo, and how surely it is one."""

    bbox: Box
    confidence: float


class SeenWithLandmarks(Seen):
    landmarks: list[Point]


class Detected(BaseModel):
    detected: bool
    face_count: int
    confidence: float
    message: str
    model: str
    faces: list[SeenWithLandmarks]


class Verified(Seen):
    face_detected: Literal[True]
    message: str


class NotVerified(BaseModel):
    face_detected: Literal[False]
    error: str


class Extracted(Seen):
    success: Literal[True]
    embedding: list[float]
    embedding_size: int
    face_detected: Literal[True]
    model: str


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


class BatchResult(BaseModel):
    """A descriptor, or the error of this photo alone."""

    model_config = ConfigDict(extra="allow")

    index: int
    face_detected: bool
    embedding: list[float] | None = None
    bbox: Box | None = None
    confidence: float | None = None
    error: str | None = None
    code: str | None = None


class Batch(BaseModel):
    results: list[BatchResult]
    total: int
    successful: int
    failed: int
    model: str


class Record(BaseModel):
    id: str
    name: str | None
    metadata: dict[str, Any]
    created_at: str
    """UTC."""
    embedding_index: int
    """How many older records there are."""


class RecordCreated(BaseModel):
    success: Literal[True]
    message: str
    record: Record


class Records(BaseModel):
    total_count: int
    records: list[Record]


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


class Rebuilt(BaseModel):
    success: Literal[True]
    records: int
    seconds: float


class Enrolled(BaseModel):
    status: Literal["success"]
    faces_stored: int


class Erased(BaseModel):
    status: Literal["success"]
    faces_deleted: int


class Granted(BaseModel):
    status: Literal["access_granted"]
    user_id: str
    name: str | None


class Denied(BaseModel):
    status: Literal["access_denied"]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its OpenAPI entry; who reads a body (413) may also wait for it, or be full."""
    also = (408, 503) if 413 in statuses else ()
    return {status: {"model": Problem} for status in sorted({*statuses, *also})}


REFUSED = problems(401, 403, 429)
"""No key, a key without the scope, too many wrong keys: what every route that needs a key may answer."""
