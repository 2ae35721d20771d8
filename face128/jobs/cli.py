"""The commands for many photos: reencode, evaluate."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from face128.errors import BadRequest
from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.jobs.evaluate import Evaluation

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with the name of every photo that failed.")]


def reencode(
    members: Annotated[Path, typer.Argument(help="A folder (1029_Vicky T.jpg, 1029/any.jpg), or a CSV or JSON list.")],
    out: Annotated[Path, typer.Option("--out", help="Written in the shape that /match takes; the journal beside it.")],
    engine: EngineOption = None,
    faces: Annotated[str, typer.Option("--faces", help="one: several faces are an error; largest: take it.")] = "one",
    num_jitters: Annotated[int, typer.Option("--num-jitters", min=1, max=100, help="Passes; their mean counts.")] = 1,
    pattern: Annotated[str | None, typer.Option("--pattern", help="How files are named: {name}/{regNo}-*")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="A Dask scheduler: tcp://scheduler:8786")] = None,
    shared: Annotated[bool, typer.Option("--shared", help="The cluster's workers see the photos' paths.")] = False,
) -> None:
    """Describe every member's photos, in all cores or on a cluster. A second run goes on where the first stopped.

    Beside --out stand the journal and a CSV of every photo that failed, why, and what to do. Exit status 1 if any did.
    """
    from face128.jobs.members import read_members
    from face128.jobs.recipe import Recipe
    from face128.jobs.reencode import reencode as run_reencode
    from face128.jobs.workers import LocalWorkers, Workers

    if faces not in ("one", "largest"):
        raise BadRequest("--faces takes one or largest.")
    settings = load_settings()
    workers: Workers = LocalWorkers(settings.threads)
    if cluster:
        from face128.jobs.cluster import ClusterWorkers

        workers = ClusterWorkers(cluster, photos_travel=not shared)
    recipe = Recipe.from_settings(settings, engine, "largest" if faces == "largest" else "one", num_jitters)
    result = run_reencode(read_members(members, pattern), recipe, out, workers)
    console = Console(stderr=True)
    enrolled = sum(bool(member.descriptors) for member in result.members)
    console.print(f"{result.photos} photos, {result.encoded_now} encoded now, {len(result.failures)} failed")
    console.print(f"{enrolled} of {len(result.members)} members have a descriptor")
    if result.failures:
        table = Table("photos", "failed with", "what to do")
        advice = {failure.code: failure.advice for failure in result.failures}
        for code, count in Counter(failure.code for failure in result.failures).most_common():
            table.add_row(str(count), code, advice[code])
        console.print(table)
    raise typer.Exit(1 if result.failures else 0)


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


COMMANDS = (reencode, evaluate)


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
