"""The commands for many photos: audit, calibrate, evaluate; and reencode.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.cli.browser import open_in_browser
from face128.cli.options import (
    EnginesOption,
    OpenOption,
    ThresholdOption,
)
from face128.cli.reencode import reencode
from face128.errors import BadRequest
from face128.jobs.files import check_folder, read_file, write_files
from face128.settings import Settings, load_settings
from face128.terminal.speech import ERR

if TYPE_CHECKING:
    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.execution.backend import Backend

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with every name.")]


def audit(
    enrolled: Annotated[
        Path, typer.Argument(help="The members: JSON as /match takes it, JSON Lines, or CSV with regNo and descriptor.")
    ],
    threshold: ThresholdOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for audit.html and the plots.")] = None,
    open_page: OpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a list of members.

    It also says how many strangers would be let in. Exit status 1 if a person must act.
    """
    from face128.jobs.audit.audit import audit as run_audit
    from face128.jobs.report.printing import print_audit
    from face128.jobs.report.verdict import audit_verdict

    _check_page(out, open_page)
    result = run_audit(read_file(enrolled), threshold, enrolled)
    verdict = audit_verdict(result)
    if out:
        from face128.jobs.report.html_page import render_audit

        write_files(out, _stranger_risk_plots(result.stranger_risks) | {"audit.html": render_audit(result, verdict)})
    if as_json:
        print(json.dumps({"verdict": verdict.to_json(), **result.to_json()}))
    else:
        print_audit(result, verdict)
    _show_page(out, "audit.html", open_page)
    raise typer.Exit(1 if result.needs_person else 0)


def evaluate(
    pairs: Annotated[Path, typer.Argument(help="Pairs in the format of LFW: pairs.txt, pairsDevTest.txt.")],
    images: Annotated[Path, typer.Argument(help="Folder of the photos: IMAGES/Name/Name_0001.jpg.")],
    engine: EnginesOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for evaluation.html and the plot.")] = None,
    open_page: OpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an engine on labelled pairs.

    Its accuracy at the best threshold, FAR and FRR at the usual ones. FACE128_DETECTION chooses exact or fast. Of
    several faces the one nearest to the middle counts, as in LFW.
    """
    from face128.jobs.calibrate.evaluate import evaluate as run_evaluate
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.printing import print_evaluation
    from face128.jobs.report.verdict import evaluation_verdict

    _check_page(out, open_page)
    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    results = run_evaluate(pairs, images, recipe, _local_backend(settings))
    if out:
        from face128.jobs.report.html_page import render_evaluation
        from face128.jobs.report.plots import draw, plot_distances

        plots = {"distances.png": draw(plot_distances, results[0])}
        write_files(out, plots | {"evaluation.html": render_evaluation(results)})
    if as_json:
        found = [{"verdict": evaluation_verdict(result).to_json(), **result.to_json()} for result in results]
        print(json.dumps(found[0] if len(found) == 1 else {"models": found}))
    else:
        for place, result in enumerate(results):
            print_evaluation(result, evaluation_verdict(result), is_first=place == 0)
    _show_page(out, "evaluation.html", open_page)


def calibrate(
    photos: Annotated[Path | None, typer.Argument(help="A folder for each person: PHOTOS/person/any.jpg.")] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Only these pairs, in the format of LFW.")] = None,
    gallery: Annotated[Path | None, typer.Option("--gallery", help="The members, as audit takes them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for calibration.html and the plots.")] = None,
    engine: EnginesOption = None,
    open_page: OpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what each threshold costs, on your own photos.

    FAR, FRR, and the risk by the number enrolled. Of several faces the one nearest to the middle counts. The page shows
    thumbnails of the pairs to look at.
    --gallery, alone or with PHOTOS, needs no photo: the members are strangers to each other.
    """
    from face128.jobs.audit.lenient_reader import UncheckedMembers
    from face128.jobs.audit.stranger_risk import stranger_risks
    from face128.jobs.calibrate.calibrate import calibrate as run_calibrate
    from face128.jobs.calibrate.comparison import compare
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.report.printing import print_calibrations, print_stranger_risks, print_verdict
    from face128.jobs.report.verdict import calibration_verdict, gallery_verdict

    if photos is None and (gallery is None or pairs):
        raise BadRequest("calibrate takes PHOTOS, --gallery ENROLLED.json, or both; --pairs only with PHOTOS.")
    _check_page(out, open_page)
    if out and photos and out.absolute().parent == photos.absolute():
        raise BadRequest(f"--out {out} would be one of the people in PHOTOS: name a folder elsewhere.")
    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, "central")
    risks = stranger_risks(UncheckedMembers(read_file(gallery), gallery)) if gallery else []
    if gallery and not risks:
        raise BadRequest(f"--gallery {gallery} has no two members who can be compared.")
    results = run_calibrate(photos, recipe, _local_backend(settings), pairs) if photos else []
    verdict = calibration_verdict(results, f"face128 calibrate {photos}") if results else gallery_verdict(risks)
    if out:
        from face128.jobs.report.html_page import render_calibration
        from face128.jobs.report.plots import calibration_plots

        page = render_calibration(results, risks, verdict, recipe.limits)
        write_files(out, calibration_plots(results) | _stranger_risk_plots(risks) | {"calibration.html": page})
    if as_json:
        found = [result.to_json() for result in results]
        by_model = found[0] if len(found) == 1 else {}
        if len(found) > 1:
            by_model = {"models": found, "comparison": [each.to_json() for each in compare(results)]}
        crowds = {"crowds": [risk.to_json() for risk in risks]} if gallery else {}
        print(json.dumps({"verdict": verdict.to_json()} | by_model | crowds))
    elif results:
        print_calibrations(results, verdict)
    else:
        print_verdict(verdict)
    if not as_json:
        print_stranger_risks(risks)
    _show_page(out, "calibration.html", open_page)


def _check_page(out: Path | None, open_page: bool) -> None:
    if open_page and out is None:
        raise BadRequest("--open shows the page that --out FOLDER writes: name a folder.")
    if out:
        check_folder(out)


def _show_page(out: Path | None, name: str, open_page: bool) -> None:
    """Say where the page is, and open it if that was asked for."""
    if out is None:
        return
    ERR.say(f"The page is {out / name}.")
    if open_page:
        open_in_browser(out / name)


def _local_backend(settings: Settings) -> Backend:
    from face128.jobs.execution.local_backend import LocalBackend

    return LocalBackend(settings.threads, settings.photo_seconds)


def _stranger_risk_plots(risks: Sequence[StrangerRisk]) -> dict[str, bytes]:
    """By file name: crowd.png, or one for each model if there are several."""
    from face128.jobs.report.plots import draw, plot_nearest_others

    names = ["crowd.png"] if len(risks) == 1 else [f"crowd-{risk.card.name}.png" for risk in risks]
    return {name: draw(plot_nearest_others, risk) for name, risk in zip(names, risks, strict=True)}


COMMANDS = (reencode, audit, calibrate, evaluate)
