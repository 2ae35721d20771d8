"""face128 gallery: list, export, import, erase, purge, stats, collections, encrypt, rekey, new-key."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128.cli.duplicates_report import ReportOption, write_duplicates
from face128.cli.errors import about
from face128.cli.gallery_encryption import encrypt, new_key, print_state, rekey
from face128.cli.gallery_people import PersonOption, export_person, purge
from face128.cli.listed_faces import CSV_COLUMNS, csv_row, json_line
from face128.cli.member_files import open_members
from face128.cli.open_gallery import open_gallery
from face128.cli.options import CollectionOption, YesOption
from face128.cli.terms import ConsentOption, ExpiresOption, given_terms
from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import BadRequest, InvalidRequest, ModelMismatch
from face128.gallery.trail.entry import EVERYBODY
from face128.jobs.files import check_folder, holds_data, is_stream, replacing
from face128.jobs.spreadsheet import write_rows
from face128.terminal.questions import confirm
from face128.terminal.speech import ERR, OUT, plural

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.rows.records import Person, Record

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Who is enrolled: list, export, import, erase, purge, encrypt.",
)

PAGE_RECORDS = 1000
MAX_LISTED_IDS = 5
STRANGERS_LIMIT_S = 10.0  # for the searches of stats

Force = Annotated[bool, typer.Option("--force", help="Also faces that two people share, or of a model not comparable.")]
Model = Annotated[str | None, typer.Option("--model", help="The model to export, if the gallery has several.")]


@app.command("list")
def list_people(
    as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet: a row for each photo.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each photo; also without a terminal.")
    ] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Print who is enrolled, in the order of enrolment, without descriptors."""
    if as_csv and as_json:
        raise BadRequest("--csv and --json do not go together.")
    with open_gallery(collection) as gallery:
        gallery.accounts.note("list", person=EVERYBODY)
        if as_csv:
            write_rows(sys.stdout, CSV_COLUMNS, map(csv_row, _records(gallery)))
        elif as_json or not OUT.is_terminal:
            for record in _records(gallery):
                print(json.dumps(json_line(record), ensure_ascii=False))
        else:
            _print_people(gallery)


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    model: Model = None,
    person: PersonOption = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Write all members, with their descriptors, into a file.

    The command import restores it, and /match accepts it. --person writes what is kept about one of them.
    """
    from face128.gallery.transfer.exporting import export_members

    if person is not None and model is not None:
        raise BadRequest("--person and --model do not go together: a person's file has all that is kept about them.")
    with open_gallery(collection) as gallery:
        if person is not None:
            count = export_person(gallery, person, file)
            print(plural(count, "photo"), file=sys.stderr if is_stream(file) else sys.stdout)
            return
        gallery.accounts.note("export", person=EVERYBODY)  # before anything leaves: the file may be a pipe
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
    report: ReportOption = None,
    expires: ExpiresOption = None,
    consent: ConsentOption = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Enrol all members of a file, or none.

    Faces that are stored already stay as they are. --expires and --consent are for new members who have none in the
    file. An import that was interrupted goes on when it is run again.
    """
    from face128.gallery.transfer.importing import import_members
    from face128.gallery.transfer.member_file import MemberFile

    terms = given_terms(expires, consent)
    if report:
        check_folder(report.parent)
    with open_members(file) as data, open_gallery(collection) as gallery:
        with about(file, BadRequest), about(file, InvalidRequest), about(file, ModelMismatch):
            write = partial(write_duplicates, report) if report else None
            done = import_members(gallery, MemberFile(data), force=force, report=write, terms=terms)
        print(f"{plural(done.faces, 'face')} of {done.model} in the file, {done.new} of them new")


@app.command()
def erase(
    user_id: Annotated[str, typer.Argument(metavar="NUMBER", help="Of the member, or the id of a record.")],
    yes: YesOption = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Erase a person for good, after asking.

    All their photos' descriptors are erased, at once and in every running service. Exit status 1 if the answer was no.
    """
    from face128.gallery.rows.person_lookup import look_up

    with open_gallery(collection) as gallery:
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


app.command("purge")(purge)


@app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="JSON; also without a terminal.")] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Print how many people and photos are enrolled, and how many strangers would match somebody."""
    from face128.gallery.transfer.exporting import statistics

    with open_gallery(collection) as gallery:
        gallery.strangers.measure(STRANGERS_LIMIT_S)
        gallery.examine()
        found = statistics(gallery) | gallery.details()
    if as_json or not OUT.is_terminal:
        print(json.dumps(found))
        return
    OUT.say(f"{plural(found['people'], 'person', 'people')}, {plural(found['faces'], 'photo')}")
    for model, count in found["models"].items():
        OUT.say(f"{model}: {count:,}", indent=2)
    if found["with_expires_at"] or found["with_consent"]:
        expiring, consents = found["with_expires_at"], found["with_consent"]
        OUT.say(f"{expiring:,} with a time at which they are erased, {consents:,} with a consent")
    if found["oldest"]:
        OUT.say(f"The first was enrolled on {found['oldest'][:10]}, the last on {found['newest'][:10]}.")
    _print_strangers(found["strangers"])
    if "encryption" in found:
        print_state(found["encryption"])


@app.command()
def collections(
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each; also without a terminal.")] = False,
) -> None:
    """Print the collections that have any photos, and how many."""
    with open_gallery(DEFAULT_COLLECTION) as gallery:
        sizes = gallery.collections()
    if as_json or not OUT.is_terminal:
        for name, count in sizes.items():
            print(json.dumps({"collection": name, "faces": count}))
        return
    OUT.table(["collection", "photos"], [[name or "(the default one)", count] for name, count in sizes.items()])


app.command("encrypt")(encrypt)
app.command("rekey")(rekey)
app.command("new-key")(new_key)


def _print_strangers(strangers: dict[str, Any]) -> None:
    share = strangers["expected_fpir"]
    if strangers["rule"] == "cohort":
        OUT.say(f"The cohort rule lets in about {100 * share:g} % of strangers (FACE128_ALPHA).")
    elif "warning" in strangers:
        OUT.say(strangers["warning"], style="bad")
    elif share is not None:
        at_most = f"{100 * strangers['high']:.2g} %"
        OUT.say(f"About {100 * share:.2g} % of strangers would match somebody (at most {at_most}).")


def _records(gallery: Gallery) -> Iterator[Record]:
    return chain.from_iterable(gallery.walk(PAGE_RECORDS))


def _print_people(gallery: Gallery) -> None:
    count = 0
    for records in gallery.walk(PAGE_RECORDS):
        rows = [[r.person.reg_no, r.person.name or "", r.created_at.date(), _verdict(r)] for r in records]
        OUT.table(["number", "name", "enrolled", "quality"], rows, cut=True)
        count += len(rows)
    OUT.say(f"{plural(count, 'photo')}. For a spreadsheet: face128 gallery list --csv > members.csv", style="quiet")


def _verdict(record: Record) -> str:
    return str(record.photo_facts.get("quality", {}).get("verdict", ""))


def _who(person: Person) -> str:
    return f"{person.user_id}, {person.name}" if person.name and not person.by_name else person.name or person.user_id
