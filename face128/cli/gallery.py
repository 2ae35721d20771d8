"""face128 gallery: list, export, import, erase, stats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128.cli.errors import about
from face128.cli.member_files import as_json_document
from face128.cli.options import YesOption
from face128.errors import BadRequest, DatabaseUnavailable
from face128.jobs.files import holds_data, is_stream, read_file, replacing
from face128.jobs.spreadsheet import write_rows
from face128.settings import load_settings
from face128.terminal.questions import confirm
from face128.terminal.speech import ERR, OUT, plural

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.records import Person, Record

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Who is enrolled: list, export, import, erase, stats."
)

PAGE_RECORDS = 1000
MAX_LISTED_IDS = 5
CSV_COLUMNS = ("regNo", "name", "id", "model", "created_at", "quality", "reasons", "adjusted", "metadata")
"""Later versions may add columns at the end."""

Force = Annotated[bool, typer.Option("--force", help="Also faces that two people share, or of a model not comparable.")]
Model = Annotated[str | None, typer.Option("--model", help="The model to export, if the gallery has several.")]


@app.command("list")
def list_people(
    as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet: a row for each photo.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each photo; also without a terminal.")
    ] = False,
) -> None:
    """Print who is enrolled, in the order of enrolment, without descriptors."""
    if as_csv and as_json:
        raise BadRequest("--csv and --json do not go together.")
    with _gallery() as gallery:
        if as_csv:
            write_rows(sys.stdout, CSV_COLUMNS, map(_csv_row, _records(gallery)))
        elif as_json or not OUT.is_terminal:
            for record in _records(gallery):
                print(json.dumps(_json_line(record), ensure_ascii=False))
        else:
            _print_people(gallery)


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")], model: Model = None
) -> None:
    """Write all members, with their descriptors, into a file.

    The command import restores it, and /match accepts it.
    """
    from face128.gallery.transfer import export_members

    with _gallery() as gallery:
        with replacing(file) as out:
            count = export_members(gallery, out, model)
            if not count and model:
                raise BadRequest("The gallery has no faces of this model. Nothing was written.")
            if not count and holds_data(file):
                raise BadRequest(f"The gallery has no faces: {file} stays as it was. Delete it first if that is right.")
        print(plural(count, "face"), file=sys.stderr if is_stream(file) else sys.stdout)


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An export, what reencode has written, or a list in JSON or CSV.")
    ],
    force: Force = False,
) -> None:
    """Enrol all members of a file, or none.

    Faces that are stored already stay as they are.
    """
    from face128.gallery.transfer import import_rows, parse_file

    data = as_json_document(read_file(file), file)
    with _gallery() as gallery:
        with about(file):
            card, rows = parse_file(data)
        new = import_rows(gallery, card, rows, force=force)
        print(f"{plural(len(rows), 'face')} of {card.name} in the file, {new} of them new")


@app.command()
def erase(
    user_id: Annotated[str, typer.Argument(metavar="NUMBER", help="Of the member, or the id of a record.")],
    yes: YesOption = False,
) -> None:
    """Erase a person for good, after asking.

    All their photos' descriptors are erased, at once and in every running service. Exit status 1 if the answer was no.
    """
    from face128.gallery.person_lookup import look_up

    with _gallery() as gallery:
        found = look_up(gallery, user_id)
        who, count = _who(found.person), plural(len(found.photos), "photo")
        first = found.photos[0].created_at.date()
        if not confirm(f"Erase {who}, with {count}, enrolled since {first}?", yes=yes):
            ERR.say("Nothing was erased.")
            raise typer.Exit(1)
        erasure = gallery.erase_user(user_id)
        pending = "; their bytes remain in the log until another process has read the gallery" * erasure.pending
        print(f"Erased: {who}, with {plural(len(erasure.records), 'photo')}{pending}")
        if found.linked:
            ERR.say(
                f"{plural(len(found.linked), 'record')} of this name {'is' if len(found.linked) == 1 else 'are'} still "
                f"enrolled, to be erased by id: {', '.join(record.id for record in found.linked[:MAX_LISTED_IDS])}"
            )


@app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="JSON; also without a terminal.")] = False,
) -> None:
    """Print how many people and photos are enrolled."""
    from face128.gallery.transfer import statistics

    with _gallery() as gallery:
        found = statistics(gallery)
    if as_json or not OUT.is_terminal:
        print(json.dumps(found))
        return
    OUT.say(f"{plural(found['people'], 'person', 'people')}, {plural(found['faces'], 'photo')}")
    for model, count in found["models"].items():
        OUT.say(f"{model}: {count:,}", indent=2)
    if found["oldest"]:
        OUT.say(f"The first was enrolled on {found['oldest'][:10]}, the last on {found['newest'][:10]}.")


def _records(gallery: Gallery) -> Iterator[Record]:
    return chain.from_iterable(_pages(gallery))


def _pages(gallery: Gallery) -> Iterator[list[Record]]:
    skip, total = 0, 1
    while skip < total:
        total, records = gallery.page(skip, PAGE_RECORDS)
        yield records
        skip += PAGE_RECORDS


def _json_line(record: Record) -> dict[str, Any]:
    line: dict[str, Any] = {"regNo": record.person.reg_no, "name": record.person.name, "id": record.id}
    line |= {"model": record.model}
    line |= {"companions": list(record.companions)} if record.companions else {}
    line |= {"created_at": record.created_at.isoformat(timespec="seconds")}
    return line | record.photo_facts | {"metadata": record.metadata}


def _csv_row(record: Record) -> list[object]:
    """The values of CSV_COLUMNS."""
    quality = record.photo_facts.get("quality", {})
    adjusted, metadata = record.photo_facts.get("adjusted", {}), record.metadata
    return [
        record.person.reg_no,
        record.person.name or "",
        record.id,
        record.model,
        record.created_at.isoformat(sep=" ", timespec="seconds"),
        quality.get("verdict", ""),
        " ".join(quality.get("reasons", [])),
        " ".join(adjusted),
        json.dumps(metadata, ensure_ascii=False) if metadata else "",
    ]


def _print_people(gallery: Gallery) -> None:
    count = 0
    for records in _pages(gallery):
        rows = [[r.person.reg_no, r.person.name or "", r.created_at.date(), _verdict(r)] for r in records]
        OUT.table(["number", "name", "enrolled", "quality"], rows, cut=True)
        count += len(rows)
    OUT.say(f"{plural(count, 'photo')}. For a spreadsheet: face128 gallery list --csv > members.csv", style="quiet")


def _verdict(record: Record) -> str:
    return str(record.photo_facts.get("quality", {}).get("verdict", ""))


def _who(person: Person) -> str:
    return f"{person.user_id}, {person.name}" if person.name and not person.by_name else person.name or person.user_id


@contextmanager
def _gallery() -> Iterator[Gallery]:
    from face128.gallery.gallery import Gallery

    settings = load_settings()
    with (
        about("FACE128_DATABASE_URL" if settings.database_url else settings.gallery_file, DatabaseUnavailable),
        closing(Gallery.from_settings(settings)) as gallery,
    ):
        yield gallery
