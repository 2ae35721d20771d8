"""Options and input files that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from face128.errors import BadRequest

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
FacesOption = Annotated[
    Literal["one", "largest"],
    typer.Option("--faces", help="one: refuse a photo of several; largest: take the largest."),
]
JittersOption = Annotated[
    int, typer.Option("--num-jitters", min=1, max=100, help="Above 1: the mean of that many slightly moved copies.")
]


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest(f"The file cannot be read: {error.strerror}.") from None
