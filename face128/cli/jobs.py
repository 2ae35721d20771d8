"""The commands for many photos: reencode, audit, calibrate, evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from face128.cli.options import EngineOption, FacesOption, JittersOption, PassesOption
from face128.errors import BadRequest
from face128.jobs.files import check_folder, read_file, write_files
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
    out: Annotated[Path, typer.Option("--out", help="The file to write; the journal is beside it.")],
    members: Annotated[
        Path | None, typer.Argument(help="A folder (1029_Vicky T.jpg, 1029/any.jpg), or a list in CSV, TSV or JSON.")
    ] = None,
    from_sql: Annotated[str | None, typer.Option("--from-sql", help="Instead of MEMBERS: a database's URL.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="SELECT reg_no, name, photo_path FROM members")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="If not as usual: regNo=...,name=...,photo=...")
    ] = None,
    photos: Annotated[Path | None, typer.Option("--photos", help="Where relative paths of photos begin.")] = None,
    pattern: Annotated[str | None, typer.Option("--pattern", help="The names of the files: {name}/{regNo}-*")] = None,
    to: Annotated[
        Literal["json", "csv", "jsonl", "sql"],
        typer.Option("--to", help="json: as /match takes the members; sql: UPDATE statements, see --update."),
    ] = "json",
    update: Annotated[
        str | None, typer.Option("--update", help="TABLE.COLUMN that the statements of --to sql update.")
    ] = None,
    write_back: Annotated[
        str | None, typer.Option("--write-back", help="Also write the descriptors into this TABLE.COLUMN.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The table's column with the regNo, if the query's is called otherwise.")
    ] = None,
    base64: Annotated[bool, typer.Option("--base64", help="Descriptors in base64 of float32, not as numbers.")] = False,
    engine: EngineOption = None,
    faces: FacesOption = "one",
    num_jitters: JittersOption = 1,
    passes: PassesOption = None,
    template: Annotated[
        Literal["nearest", "mean"],
        typer.Option("--template", help="mean: write one descriptor a member, the mean of their photos."),
    ] = "nearest",
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
    from face128.jobs.reencode.member_rows import parse_columns
    from face128.jobs.reencode.output_formats import FIRST_BYTES, file_writer
    from face128.jobs.reencode.reencode import reencode as run_reencode
    from face128.jobs.reencode.remote_enrolment import RemoteService
    from face128.jobs.reencode.results import ResultFiles, check_out
    from face128.jobs.report.tables import print_reencoding

    if (members is None) == (from_sql is None) or (from_sql is None) != (query is None):
        raise BadRequest("reencode takes MEMBERS, or --from-sql URL with --query SELECT.")
    if from_sql is None and not (update is None and write_back is None):
        raise BadRequest("--update and --write-back are for the database of --from-sql.")
    if from_sql is not None and pattern is not None:
        raise BadRequest("--pattern is for the file names of a folder; a query names each photo's member.")
    if (to == "sql") != (update is not None):
        raise BadRequest("--to sql and --update TABLE.COLUMN go together: the statements update this column.")
    check_out(out, members, FIRST_BYTES[to])
    settings = load_settings()
    backend = _local_backend(settings)
    if cluster:
        from face128.jobs.execution.dask_backend import DaskBackend

        backend = DaskBackend(cluster, sends_photos=not shared)
    recipe = Recipe.from_settings(settings, engine, faces, num_jitters, settings.max_roll, passes, settings.min_quality)
    post_key = settings.post_key.get_secret_value() if settings.post_key else None
    service = RemoteService(post, post_key) if post else None
    named, column = parse_columns(columns), None
    write_members = file_writer(to, base64=base64)
    if members:
        listing = read_members(members, pattern, ResultFiles.beside(out), named, photos)
    else:
        from face128.jobs.reencode.descriptor_column import DescriptorColumn
        from face128.jobs.reencode.members_database import MembersDatabase

        database = MembersDatabase(from_sql or "")
        listing, reg_no_column = database.read_members(query or "", named, photos or Path())
        key = key or reg_no_column
        if update is not None:
            write_members = DescriptorColumn(database, update, key, base64=base64).write_statements
        if write_back is not None:
            column = DescriptorColumn(database, write_back, key, base64=base64)
    result = run_reencode(listing, recipe, out, backend, write_members, service, column, template)
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

    if out:
        check_folder(out)
    result = run_audit(read_file(enrolled), threshold)
    if out:
        write_files(out, _stranger_risk_plots(result.stranger_risks))
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
    if out:
        check_folder(out)
        if photos and out.absolute().parent == photos.absolute():
            raise BadRequest("--out would be one of the people in PHOTOS: name a folder elsewhere.")
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
        write_files(out, plots | _stranger_risk_plots(risks) | {"calibration.html": page})
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


COMMANDS = (reencode, audit, calibrate, evaluate)
