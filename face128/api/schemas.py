"""The shapes of the answers, for OpenAPI and for checking what leaves the service."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


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


class Ready(BaseModel):
    status: Literal["ready"]
    engines: dict[str, str]


class Explained(BaseModel):
    """What ?explain=true adds."""

    distance: float | None = None
    threshold: float | None = None
    model: str | None = None
    runner_up: RunnerUp | None = None
    margin: float | None = None


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
    bbox: tuple[int, int, int, int]
    confidence: float
    face_count: int


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its OpenAPI entry."""
    return {status: {"model": Problem} for status in statuses}
