"""The commands for many photos: reencode, audit, calibrate, evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from face128.errors import BadRequest, ConfigurationError
from face128.settings import load_settings

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
    from face128.jobs.members import read_members
    from face128.jobs.post import Service
    from face128.jobs.recipe import Recipe
    from face128.jobs.reencode import reencode as run_reencode
    from face128.jobs.tables import print_reencoding
    from face128.jobs.workers import LocalWorkers, Workers

    if faces not in ("one", "largest"):
        raise BadRequest("--faces takes one or largest.")
    settings = load_settings()
    workers: Workers = LocalWorkers(settings.threads)
    if cluster:
        from face128.jobs.cluster import ClusterWorkers

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
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a set of descriptors. Exit status 1 if something needs a person."""
    from face128.jobs.audit import audit as run_audit
    from face128.jobs.tables import print_audit

    try:
        data = enrolled.read_bytes()
    except OSError as error:
        raise BadRequest(f"The file cannot be read: {error.strerror}.") from None
    result = run_audit(data, threshold)
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
    from face128.jobs.evaluate import evaluate as run_evaluate
    from face128.jobs.recipe import Recipe
    from face128.jobs.tables import print_evaluation

    settings = load_settings()
    result = run_evaluate(pairs, images, Recipe.from_settings(settings, engine, "central"), settings.threads)
    if as_json:
        print(json.dumps(result.figures()))
    else:
        print_evaluation(result)


def calibrate(
    photos: Annotated[Path, typer.Argument(help="A folder for each person: PHOTOS/person/any.jpg.")],
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Only these pairs, in the format of LFW.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for calibration.html and the plots.")] = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what each threshold costs on your own photos: FAR, FRR, and the risk by the number enrolled.

    Of several faces the one nearest to the middle counts. The page shows small pictures of the pairs to look at.
    """
    from face128.jobs.calibrate import calibrate as run_calibrate
    from face128.jobs.recipe import Recipe
    from face128.jobs.tables import print_calibration

    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    result = run_calibrate(photos, recipe, settings.threads, pairs)
    if out:
        from face128.jobs.page import write_page
        from face128.jobs.plots import PLOTS, draw

        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, plot in PLOTS.items():
                (out / f"{name}.png").write_bytes(draw(plot, result))
            (out / "calibration.html").write_text(write_page(result, recipe.limits), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"The page cannot be written: {error.strerror}.") from None
    if as_json:
        print(json.dumps(result.answer()))
    else:
        print_calibration(result)


COMMANDS = (reencode, audit, calibrate, evaluate)
