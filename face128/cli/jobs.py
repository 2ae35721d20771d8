"""The commands for many photos: reencode, audit, calibrate, evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from face128.errors import BadRequest, ConfigurationError
from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.jobs.audit.stranger_risk import Crowd

EngineOption = Annotated[str | None, typer.Option("--engine", help="dlib by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with every name.")]


def reencode(
    members: Annotated[Path, typer.Argument(help="A folder (1029_Vicky T.jpg, 1029/any.jpg), or a CSV or JSON list.")],
    out: Annotated[Path, typer.Option("--out", help="Written in the shape that /match takes; the journal beside it.")],
    engine: EngineOption = None,
    faces: Annotated[str, typer.Option("--faces", help="one: several faces are an error; largest: take it.")] = "one",
    num_jitters: Annotated[int, typer.Option("--num-jitters", min=1, max=100, help="Passes; their mean counts.")] = 1,
    pattern: Annotated[str | None, typer.Option("--pattern", help="How files are named: {name}/{regNo}-*")] = None,
    post: Annotated[str | None, typer.Option("--post", help="Also enrol in the service at this URL.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="A Dask scheduler: tcp://scheduler:8786")] = None,
    shared: Annotated[bool, typer.Option("--shared", help="The cluster's workers see the photos' paths.")] = False,
) -> None:
    """Describe every member's photos, in all cores or on a cluster. A second run goes on where the first stopped.

    Beside --out stand the journal and a CSV of every photo that failed, why, and what to do. Exit status 1 if any did.
    --post sends the key in FACE128_POST_KEY (or API_KEY) along, if it is set.
    """
    from face128.jobs.execution.backends import LocalWorkers, Workers
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.reencode.member_photos import read_members
    from face128.jobs.reencode.reencode import reencode as run_reencode
    from face128.jobs.reencode.remote_enrolment import Service
    from face128.jobs.report.console_tables import print_reencoding

    if faces not in ("one", "largest"):
        raise BadRequest("--faces takes one or largest.")
    settings = load_settings()
    workers: Workers = LocalWorkers(settings.threads)
    if cluster:
        from face128.jobs.execution.dask_backend import ClusterWorkers

        workers = ClusterWorkers(cluster, photos_travel=not shared)
    choice: Literal["one", "largest"] = "largest" if faces == "largest" else "one"
    recipe = Recipe.from_settings(settings, engine, choice, num_jitters, settings.max_roll)
    key = settings.post_key.get_secret_value() if settings.post_key else None
    service = Service(post, key) if post else None
    result = run_reencode(read_members(members, pattern), recipe, out, workers, service)
    print_reencoding(result)
    raise typer.Exit(1 if result.failures else 0)


def audit(
    enrolled: Annotated[Path, typer.Argument(help="JSON: a list of members, or a body of /match.")],
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for crowd.png: how near members come.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a set of descriptors, and how near strangers come. Exit status 1 if it needs a person."""
    from face128.jobs.audit.audit import audit as run_audit
    from face128.jobs.report.console_tables import print_audit

    try:
        data = enrolled.read_bytes()
    except OSError as error:
        raise BadRequest(f"The file cannot be read: {error.strerror}.") from None
    result = run_audit(data, threshold)
    if out:
        _write(out, _crowd_plots(result.crowds))
    if as_json:
        print(json.dumps(result.answer()))
    else:
        print_audit(result)
    raise typer.Exit(1 if result.needs_person else 0)


def evaluate(
    pairs: Annotated[Path, typer.Argument(help="Pairs in the format of LFW: pairs.txt, pairsDevTest.txt.")],
    images: Annotated[Path, typer.Argument(help="Folder of the photos: IMAGES/Name/Name_0001.jpg.")],
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an engine on labelled pairs: accuracy at the best threshold, FAR and FRR at the usual ones.

    FACE128_DETECTION chooses exact or fast. Of several faces the one nearest to the middle counts, as LFW means it.
    """
    from face128.jobs.calibrate.evaluate import evaluate as run_evaluate
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.console_tables import print_evaluation

    settings = load_settings()
    result = run_evaluate(pairs, images, Recipe.from_settings(settings, engine, "central"), settings.threads)
    if as_json:
        print(json.dumps(result.figures()))
    else:
        print_evaluation(result)


def calibrate(
    photos: Annotated[Path | None, typer.Argument(help="A folder for each person: PHOTOS/person/any.jpg.")] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Only these pairs, in the format of LFW.")] = None,
    gallery: Annotated[
        Path | None,
        typer.Option("--gallery", help="Who is enrolled, as audit takes it: what the members themselves say."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for calibration.html and the plots.")] = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what each threshold costs on your own photos: FAR, FRR, and the risk by the number enrolled.

    Of several faces the one nearest to the middle counts. The page shows small pictures of the pairs to look at.
    --gallery, alone or besides, needs no photo: the members are strangers to each other.
    """
    from face128.jobs.audit.stranger_risk import read_crowds
    from face128.jobs.calibrate.calibrate import calibrate as run_calibrate
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.console_tables import print_calibration, print_crowd

    if photos is None and (gallery is None or pairs):
        raise BadRequest("calibrate takes PHOTOS, --gallery ENROLLED.json, or both.")
    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    crowds = read_crowds(gallery) if gallery else []
    result = run_calibrate(photos, recipe, settings.threads, pairs) if photos else None
    if out:
        from face128.jobs.report.html_page import write_page
        from face128.jobs.report.plots import PLOTS, draw

        plots = {f"{name}.png": draw(plot, result) for name, plot in PLOTS.items()} if result else {}
        page = write_page(result, crowds, recipe.limits).encode()
        _write(out, plots | _crowd_plots(crowds) | {"calibration.html": page})
    if as_json:
        told = {"crowds": [crowd.answer() for crowd in crowds]} if gallery else {}
        print(json.dumps((result.answer() if result else {}) | told))
        return
    if result:
        print_calibration(result)
    for crowd in crowds:
        print_crowd(crowd)


def _crowd_plots(crowds: Sequence[Crowd]) -> dict[str, bytes]:
    """By the name of the file: crowd.png, or one for each model where there are several."""
    from face128.jobs.report.plots import draw, nearest_others

    names = ["crowd.png"] if len(crowds) == 1 else [f"crowd-{crowd.card.name}.png" for crowd in crowds]
    return {name: draw(nearest_others, crowd) for name, crowd in zip(names, crowds, strict=True)}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from None


COMMANDS = (reencode, audit, calibrate, evaluate)
