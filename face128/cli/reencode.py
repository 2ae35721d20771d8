"""face128 reencode: its options, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from face128.cli.errors import describe, print_error
from face128.cli.options import FacesOption, JittersOption, PassesOption
from face128.cli.terms import ConsentOption, ExpiresOption, given_fields
from face128.domain.collection import DEFAULT_COLLECTION, check_collection
from face128.errors import BadRequest
from face128.settings import Settings, load_settings
from face128.terminal.progress import Progress, format_duration
from face128.terminal.speech import ERR, plural

if TYPE_CHECKING:
    from face128.jobs.execution.backend import Backend
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.reencode.descriptor_column import DescriptorColumn
    from face128.jobs.reencode.listing import PhotoListing
    from face128.jobs.reencode.members_database import MembersDatabase
    from face128.jobs.reencode.reencode import Job, Reencoding
    from face128.jobs.reencode.result_files import ResultFiles

ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", help="A Dask scheduler: tcp://host:8786. Ends if no photo is finished for 15 minutes."),
]


def reencode(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="The file to write; the journal and reports are beside it.")],
    members: Annotated[
        Path | None, typer.Argument(help="A folder (1029_Vicky T.jpg, 1029/any.jpg), or a list in CSV, TSV or JSON.")
    ] = None,
    from_sql: Annotated[str | None, typer.Option("--from-sql", help="Instead of MEMBERS: a database's URL.")] = None,
    query: Annotated[
        str | None,
        typer.Option("--query", help="SELECT reg_no, name, photo FROM members. A photo is a path, a URL, or bytes."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="If not as usual: regNo=...,name=...,photo=...")
    ] = None,
    photos: Annotated[Path | None, typer.Option("--photos", help="Where relative paths of photos begin.")] = None,
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="The names of the files: {name}/{regNo}-*, or {name}/*")
    ] = None,
    to: Annotated[
        Literal["json", "csv", "jsonl", "sql"],
        typer.Option("--to", help="json: as /match takes the members; sql: UPDATE statements, see --update."),
    ] = "json",
    update: Annotated[
        list[str] | None,
        typer.Option("--update", metavar="TABLE.COLUMN", help="What the statements of --to sql update."),
    ] = None,
    write_back: Annotated[
        list[str] | None,
        typer.Option(
            "--write-back",
            metavar="TABLE.COLUMN",
            help="Also write the descriptors here. With several engines again: retail=TABLE.COLUMN.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The table's column with the regNo, if the query's is called otherwise.")
    ] = None,
    base64: Annotated[bool, typer.Option("--base64", help="Descriptors in base64 of float32, not as numbers.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="dlib|retail|faceapi|insightface",
            help="What describes faces; dlib,retail: both. By default the first of FACE128_ENGINES (dlib).",
        ),
    ] = None,
    faces: FacesOption = "one",
    num_jitters: JittersOption = 1,
    passes: PassesOption = None,
    template: Annotated[
        Literal["nearest", "mean"],
        typer.Option("--template", help="mean: write one descriptor a member, the mean of their photos."),
    ] = "nearest",
    post: Annotated[str | None, typer.Option("--post", help="Also enrol in the service at this URL.")] = None,
    expires: ExpiresOption = None,
    consent: ConsentOption = None,
    collection: Annotated[
        str, typer.Option("--collection", metavar="NAME", help="Enrol in this collection of the service.")
    ] = DEFAULT_COLLECTION,
    cluster: ClusterOption = None,
    shared: Annotated[bool, typer.Option("--shared", help="The cluster's workers can read the photos' paths.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the list even by nobody, or by far fewer members than it has.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and how long it would take.")
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch", help="Then wait for new photos in this folder, and do them as they come. Ctrl-C ends it."
        ),
    ] = None,
    open_report: Annotated[
        bool, typer.Option("--open", help="Then open the list of who must be photographed again, if anybody.")
    ] = False,
) -> None:
    """Describe every member's photos, on all cores or on a cluster. A second run goes on where the first stopped.

    Beside --out are the journal and lists of the photos that failed and of who must be photographed again. Exit status
    1 if any photo failed, 2 if the list was not written. --post sends the key in FACE128_POST_KEY (or API_KEY).
    """
    from face128.jobs.execution.recipe import Recipe
    from face128.jobs.reencode.descriptor_column import write_statements
    from face128.jobs.reencode.member_photos import read_members
    from face128.jobs.reencode.member_rows import parse_columns
    from face128.jobs.reencode.members_database import MembersDatabase
    from face128.jobs.reencode.output_formats import FIRST_BYTES, file_writer
    from face128.jobs.reencode.reencode import Job, Stopped
    from face128.jobs.reencode.remote_service import RemoteService
    from face128.jobs.reencode.result_files import ResultFiles, check_out
    from face128.jobs.reencode.row_photos import RowPhotos

    members = members or (watch if from_sql is None else None)
    if (members is None) == (from_sql is None) or (from_sql is None) != (query is None):
        raise BadRequest("reencode takes MEMBERS, or --from-sql URL with --query SELECT.")
    if from_sql is None and (update or write_back):
        raise BadRequest("--update and --write-back are for the database of --from-sql.")
    if from_sql is not None and pattern is not None:
        raise BadRequest("--pattern is for the file names of a folder; a query names each photo's member.")
    if (to == "sql") != bool(update):
        raise BadRequest("--to sql and --update TABLE.COLUMN go together: the statements update this column.")
    if post is None and (expires or consent or collection):
        raise BadRequest("--expires, --consent and --collection are for the service of --post.")
    check_collection(collection)
    if watch and not watch.is_dir():
        raise BadRequest(f"--watch {watch} is no folder.")
    check_out(out, members, FIRST_BYTES[to])
    settings = load_settings()
    recipe = Recipe.from_settings(settings, engine, faces, num_jitters, settings.max_roll, passes, settings.min_quality)
    post_key = settings.post_key.get_secret_value() if settings.post_key else None
    named, files = parse_columns(columns), ResultFiles.beside(out)
    job = Job(
        recipe,
        out,
        _backend(settings, cluster, shared),
        file_writer(to, base64=base64),
        RemoteService(post, post_key, given_fields(expires, consent), collection) if post else None,
        template=template,
        force=force,
        source=str(members) if members else "--query",
    )
    read: Callable[[], PhotoListing]
    try:
        if members:
            read = partial(read_members, members, pattern, files, named, photos)
            listing = _read(read, job)
        else:
            database = MembersDatabase(from_sql or "")
            row_photos = context.with_resource(RowPhotos(files.row_photos))
            read = partial(database.read_members, query or "", named, photos or Path(), row_photos.keep)
            listing = _read(read, job)
            column = partial(_column, database, key or listing.reg_no_column, recipe, base64)
            if update:
                statements = partial(write_statements, list(map(column, update)), database)
                job = replace(job, write_members=statements)
            job = replace(job, columns=list(map(column, write_back or [])))
        if dry_run:
            _print_forecast(listing, job, settings.threads)
            return
        result = _run(listing, job, files)
        if open_report and (result.without or result.only_poor) and typer.launch(str(files.again)):
            ERR.say(f"No program could be opened here: open {files.again} yourself.")
        if watch:
            _watch({watch, *([members] if members else [])}, read, job, files)
    except Stopped as stopped:
        ERR.say(f"{stopped.saved} Run the same command again: it goes on with the rest.")
        raise
    except KeyboardInterrupt:
        ERR.say("Stopping... Nothing was changed.")
        raise
    raise typer.Exit(1 if result.failures else 0)


def _backend(settings: Settings, cluster: str | None, shared: bool) -> Backend:
    if cluster:
        from face128.jobs.execution.dask_backend import DaskBackend

        return DaskBackend(cluster, sends_photos=not shared)
    from face128.jobs.execution.local_backend import LocalBackend

    return LocalBackend(settings.threads, settings.photo_seconds)


def _column(database: MembersDatabase, key: str, recipe: Recipe, base64: bool, place: str) -> DescriptorColumn:
    """``place``: TABLE.COLUMN, which the first engine's descriptors go to, or ENGINE=TABLE.COLUMN."""
    from face128.jobs.reencode.descriptor_column import DescriptorColumn

    engine, _, path = place.rpartition("=")
    engine = engine or recipe.engines[0]
    if engine not in recipe.engines:
        raise BadRequest(f"{place}: {engine} is not among the engines of this run, {','.join(recipe.engines)}.")
    return DescriptorColumn(database, path, key, recipe.cards[recipe.engines.index(engine)], base64=base64)


def _read(read: Callable[[], PhotoListing], job: Job) -> PhotoListing:
    with Progress(f"Looking through {job.source}"):
        return read()


def _run(listing: PhotoListing, job: Job, files: ResultFiles) -> Reencoding:
    from face128.jobs.reencode.reencode import reencode as run_reencode
    from face128.jobs.report.reencoding import print_reencoding

    result = run_reencode(listing, job)
    print_reencoding(result, files)
    return result


def _watch(folders: set[Path], read: Callable[[], PhotoListing], job: Job, files: ResultFiles) -> None:
    """Until Ctrl-C."""
    from face128.jobs.reencode.reencode import Stopped
    from face128.jobs.reencode.reencode import reencode as run_reencode
    from face128.jobs.reencode.watch import changes
    from face128.jobs.report.reencoding import print_counts

    names = ", ".join(str(folder) for folder in sorted(folders))
    waiting = f"Watching {names} for new photos. Ctrl-C ends it."
    ERR.say(waiting, style="heading")
    try:
        for _ in changes(folders, files):
            ERR.heading(time.strftime("%H:%M:%S"))
            try:
                print_counts(run_reencode(_read(read, job), job))
            except BadRequest as error:
                print_error(describe(error))
            ERR.say(waiting)
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(f"{files.enrolled} is up to date.") from None


def _print_forecast(listing: PhotoListing, job: Job, processes: int) -> None:
    from face128.jobs.reencode.dry_run import forecast
    from face128.jobs.report.reencoding import print_left_out, print_misnamed

    misnamed = [entry for entry in listing.rejected if entry.reg_no is None]
    found = forecast(listing, job, processes)
    ERR.say("Nothing was written. This is what would be done:", style="heading")
    members = plural(len(listing.member_names), "member")
    ERR.say(
        f"{plural(len(listing.photos) + len(listing.rejected), 'photo')} of {members}: {found.waiting:,} to encode, "
        f"{found.from_before:,} from before, {len(misnamed):,} misnamed"
    )
    print_left_out(listing.left_out)
    print_misnamed(misnamed)
    if found.waiting:
        took = f"as {plural(found.tried, 'photo')} took now, with {plural(processes, 'process', 'processes')}"
        ERR.say(f"It would take about {format_duration(found.seconds)}, {took}.")
    before = f", in place of the {plural(found.earlier.count, 'member')} in it" if found.earlier.count else ""
    ERR.say(f"It would write {job.out}{before}, and beside it what failed, and why.")
