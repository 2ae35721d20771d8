"""How several photos of a member count: each by itself, or as one mean descriptor."""

from __future__ import annotations

from typing import Any, Literal

from face128.errors import InvalidRequest

Template = Literal["nearest", "mean"]
"""nearest: the distance to a member is that to their nearest photo. mean: that to the mean of their photos
(matching/templates.py)."""


def parse(value: Any) -> Template | None:
    """The template in a decoded JSON value; None if it names none. Raises InvalidRequest."""
    match value:
        case None | "nearest" | "mean":
            return value
    raise InvalidRequest("The templates are: nearest, mean.", field="template")
