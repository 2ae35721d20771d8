"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
FacesOption = Annotated[
    Literal["one", "largest"],
    typer.Option("--faces", help="one: refuse a photo of several; largest: take the largest."),
]
JittersOption = Annotated[
    int, typer.Option("--num-jitters", min=1, max=100, help="Above 1: the mean of that many slightly moved copies.")
]
