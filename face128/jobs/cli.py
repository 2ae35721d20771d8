"""The commands for many photos: evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.jobs.evaluate import Evaluation

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with the name of every photo that failed.")]


def evaluate(
    pairs: Annotated[Path, typer.Argument(help="Pairs in the format of LFW: pairs.txt, pairsDevTest.txt.")],
    images: Annotated[Path, typer.Argument(help="Folder of the photos: IMAGES/Name/Name_0001.jpg.")],
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an engine on labelled pairs: accuracy at the best threshold, FAR and FRR at the usual ones.

    FACE128_DETECTION chooses exact or fast. Of several faces the one nearest to the middle counts, as LFW means it.
    """
    from face128.jobs.evaluate import evaluate as run_evaluate
    from face128.jobs.recipe import Recipe

    settings = load_settings()
    result = run_evaluate(pairs, images, Recipe.from_settings(settings, engine, "central"), settings.threads)
    if as_json:
        print(json.dumps(result.figures()))
    else:
        _print(result)


COMMANDS = (evaluate,)


def _print(result: Evaluation) -> None:
    figures = result.figures()
    console = Console()
    console.print(f"{figures['model']}, {figures['pipeline']}", highlight=False)
    console.print(f"{result.photos} photos, {len(result.undetected)} undetected, {len(result.failed)} failed")
    console.print(f"{result.pairs} pairs, {result.left_out} of them left out for want of a descriptor")
    console.print(f"accuracy {figures['accuracy']:.2%} at the best threshold, {figures['best_threshold']:.3f}")
    table = Table("threshold", "strangers accepted (FAR)", "same person refused (FRR)")
    for rate in figures["rates"]:
        table.add_row(f"{rate['threshold']:.2f}", f"{rate['far']:.2%}", f"{rate['frr']:.2%}")
    console.print(table)
