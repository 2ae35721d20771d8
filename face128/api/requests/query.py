"""Query parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from face128.encoding.encode import Which

EngineName = Annotated[str | None, Query(description="One of the loaded engines; the first by default.")]
Faces = Annotated[Which, Query(description="Of several faces: refuse, or take the largest.")]
Force = Annotated[bool, Query(description="Store the face even where it is another person's.")]
