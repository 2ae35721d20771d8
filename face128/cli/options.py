"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
FacesOption = Annotated[
    Literal["one", "largest", "best"],
    typer.Option(
        "--faces", help="one: refuse a photo of several; largest, or best: the one with the highest confidence."
    ),
]
JittersOption = Annotated[
    int, typer.Option("--num-jitters", min=1, max=100, help="Above 1: the mean of that many slightly moved copies.")
]
PassesOption = Annotated[
    Literal["one", "mirror"] | None,
    typer.Option("--passes", help="mirror: the mean of the face and its mirror image. FACE128_PASSES by default."),
]
