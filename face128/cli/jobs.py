"""The commands for many photos: reencode, audit, calibrate, evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.cli.options import EngineOption, FacesOption, JittersOption, read_file
from face128.errors import BadRequest, ConfigurationError
from face128.settings import Settings, load_settings

if TYPE_CHECKING:
    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.execution.backend import Backend

ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", help="A Dask scheduler: tcp://host:8786. Ends if no photo is finished for 15 minutes."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with every name.")]


def reencode(
    members: Annotated[Path, typer.Argument(help="A folder (1029_Vicky T.jpg, 1029/any.jpg), or a CSV or JSON list.")],
    out: Annotated[Path, typer.Option("--out", help="The members as /match takes them; the journal is beside it.")],
    engine: EngineOption = None,
    faces: FacesOption = "one",
    num_jitters: JittersOption = 1,
    pattern: Annotated[str | None, typer.Option("--pattern", help="The names of the files: {name}/{regNo}-*")] = None,
    post: Annotated[str | None, typer.Option("--post", help="Also enrol in the service at this URL.")] = None,
    cluster: ClusterOption = None,
    shared: Annotated[bool, typer.Option("--shared", help="The cluster's workers can read the photos' paths.")] = False,
) -> None:
    """Describe every member's photos, on all cores or on a cluster. A second run goes on where the first stopped.

    Beside --out are the journal and a CSV of the photos that failed, with reason and advice. Exit status 1 if any did.
    --post sends the key in FACE128_POST_KEY (or API_KEY), if it is set.
    """
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.reencode.member_photos import read_members
    from face128.jobs.reencode.reencode import reencode as run_reencode
    from face128.jobs.reencode.remote_enrolment import RemoteService
    from face128.jobs.report.tables import print_reencoding

    settings = load_settings()
    backend = _local_backend(settings)
    if cluster:
        from face128.jobs.execution.dask_backend import DaskBackend

        backend = DaskBackend(cluster, sends_photos=not shared)
    recipe = Recipe.from_settings(settings, engine, faces, num_jitters, settings.max_roll)
    key = settings.post_key.get_secret_value() if settings.post_key else None
    service = RemoteService(post, key) if post else None
    result = run_reencode(read_members(members, pattern), recipe, out, backend, service)
    print_reencoding(result)
    raise typer.Exit(1 if result.failures else 0)


def audit(
    enrolled: Annotated[Path, typer.Argument(help="JSON: a list of members, or a body of /match.")],
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own threshold.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for crowd.png: the distances.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Report errors in a set of descriptors, and the risk of strangers. Exit status 1 if a person must act."""
    from face128.jobs.audit.audit import audit as run_audit
    from face128.jobs.report.tables import print_audit

    result = run_audit(read_file(enrolled), threshold)
    if out:
        _write(out, _stranger_risk_plots(result.stranger_risks))
    if as_json:
        print(json.dumps(result.to_json()))
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

    FACE128_DETECTION chooses exact or fast. Of several faces the one nearest to the middle counts, as in LFW.
    """
    from face128.jobs.calibrate.evaluate import evaluate as run_evaluate
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.tables import print_evaluation

    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    result = run_evaluate(pairs, images, recipe, _local_backend(settings))
    if as_json:
        print(json.dumps(result))
    else:
        print_evaluation(result)


def calibrate(
    photos: Annotated[Path | None, typer.Argument(help="A folder for each person: PHOTOS/person/any.jpg.")] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Only these pairs, in the format of LFW.")] = None,
    gallery: Annotated[Path | None, typer.Option("--gallery", help="The members, as audit takes them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for calibration.html and the plots.")] = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure each threshold on your own photos: FAR, FRR, and the risk by the number enrolled.

    Of several faces the one nearest to the middle counts. The page shows thumbnails of the pairs to look at.
    --gallery, alone or with PHOTOS, needs no photo: the members are strangers to each other.
    """
    from face128.jobs.audit.lenient_reader import UncheckedMembers
    from face128.jobs.audit.stranger_risk import stranger_risks
    from face128.jobs.calibrate.calibrate import calibrate as run_calibrate
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.tables import print_calibration, print_stranger_risk

    if photos is None and (gallery is None or pairs):
        raise BadRequest("calibrate takes PHOTOS, --gallery ENROLLED.json, or both.")
    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    risks = stranger_risks(UncheckedMembers(read_file(gallery))) if gallery else []
    if gallery and not risks:
        raise BadRequest("The file has no two members who can be compared.")
    result = run_calibrate(photos, recipe, _local_backend(settings), pairs) if photos else None
    if out:
        from face128.jobs.report.html_page import render_page
        from face128.jobs.report.plots import PLOTS, draw

        plots = {f"{name}.png": draw(plot, result) for name, plot in PLOTS.items()} if result else {}
        page = render_page(result, risks, recipe.limits).encode()
        _write(out, plots | _stranger_risk_plots(risks) | {"calibration.html": page})
    if as_json:
        crowds = {"crowds": [risk.to_json() for risk in risks]} if gallery else {}
        print(json.dumps((result.to_json() if result else {}) | crowds))
        return
    if result:
        print_calibration(result)
    for risk in risks:
        print_stranger_risk(risk)


def _local_backend(settings: Settings) -> Backend:
    from face128.jobs.execution.local_backend import LocalBackend

    return LocalBackend(settings.threads, settings.photo_seconds)


def _stranger_risk_plots(risks: Sequence[StrangerRisk]) -> dict[str, bytes]:
    """By file name: crowd.png, or one for each model if there are several."""
    from face128.jobs.report.plots import draw, plot_nearest_others

    names = ["crowd.png"] if len(risks) == 1 else [f"crowd-{risk.card.name}.png" for risk in risks]
    return {name: draw(plot_nearest_others, risk) for name, risk in zip(names, risks, strict=True)}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from None


COMMANDS = (reencode, audit, calibrate, evaluate)
