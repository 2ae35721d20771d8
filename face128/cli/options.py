"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def parse_number(text: str | float) -> float:
    """A number with a decimal point or a decimal comma. Raises ValueError."""
    try:
        return float(str(text).strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{text!r} is not a number such as 0.38") from None


EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="dlib|retail|faceapi|insightface",
        help="What finds and describes faces; by default the first of FACE128_ENGINES (dlib).",
    ),
]
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
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="DISTANCE",
        parser=parse_number,
        help="Greatest distance that is a match, such as 0.38; by default the model's own.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is right.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Then open the page in the browser.")]
EnginesOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="dlib|retail|faceapi|insightface",
        help="dlib,retail compares both networks and their pair. By default the first of FACE128_ENGINES.",
    ),
]
CollectionOption = Annotated[
    str, typer.Option("--collection", metavar="NAME", help="The site or tenant; without it, the default collection.")
]
