"""Query parameters that several routes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from face128.encoding.encode import FaceChoice

EngineName = Annotated[str | None, Query(description="One of the loaded engines; the first by default.")]
Faces = Annotated[
    FaceChoice,
    Query(description="If there are several faces: refuse, take the largest, or the one with the highest confidence."),
]
SkipInvalid = Annotated[bool, Query(description="Leave out members that cannot be read, and name them in `skipped`.")]
WithQuality = Annotated[bool, Query(description="Also judge the photo: `quality`.")]
Explain = Annotated[bool, Query(description="Also say how near, and how far away the next person is.")]
WithCompanions = Annotated[
    bool, Query(description="Also describe the face by the other loaded networks that look at the same faces.")
]
ProbeCompanions = Annotated[
    bool | None,
    Query(description="Whether the other networks look at the photo, too. Default: as FACE128_DECISION_MODELS needs."),
]
Force = Annotated[bool, Query(description="Store the face even if another person has it.")]

_BOOL = TypeAdapter(bool)


def flag(request: Request, name: str) -> bool:
    """A boolean query parameter, False by default; for routes that do without FastAPI's dependencies.

    Raises RequestValidationError as FastAPI does.
    """
    if not request.scope["query_string"]:  # spare the parsing
        return False
    try:
        return _BOOL.validate_python(request.query_params.get(name, False))
    except ValidationError as error:
        raise RequestValidationError([{**error.errors()[0], "loc": ("query", name)}]) from None
