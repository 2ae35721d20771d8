"""face128 trail: who did what to whom: verify, show, export."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.cli.open_gallery import open_gallery
from face128.cli.options import CollectionOption
from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import BadRequest
from face128.jobs.files import is_stream, replacing
from face128.terminal.progress import Progress
from face128.terminal.speech import ERR, OUT, plural

if TYPE_CHECKING:
    from face128.gallery.trail.check import Checked
    from face128.gallery.trail.entry import Entry

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who did what to whom: verify, show, export.")

PAGE_ENTRIES = 1000
OFF = "The trail is empty. FACE128_TRAIL=1 switches it on."

HeadOption = Annotated[
    str | None,
    typer.Option(
        "--head", metavar="NUMBER:HASH", help="The end of the trail at an earlier time, as verify printed it."
    ),
]


@app.command()
def verify(head: HeadOption = None) -> None:
    """Check that no entry of the trail was changed, removed or moved.

    It prints the head: keep it elsewhere. With --head it also checks that everything up to there is what it was. Exit
    status: 0 if all is well, else 1.
    """
    from face128.gallery.trail.check import Head, check
    from face128.gallery.trail.reading import state_of_trail

    try:
        kept = None if head is None else Head.parse(head)
    except ValueError as error:
        raise BadRequest(f"--head: {error}") from None
    with (
        open_gallery() as gallery,
        gallery.database.reading() as connection,
        Progress("verify", state_of_trail(connection).get("entries", 0)) as progress,
    ):
        found = check(connection, kept, progress.advance)
    _print_checked(found)
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def show(
    person: Annotated[
        str | None, typer.Option("--person", metavar="NUMBER", help="Of a member, or the id of a record.")
    ] = None,
    last: Annotated[int, typer.Option("--last", metavar="COUNT", min=1, help="How many entries at most.")] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each entry; also without a terminal.")
    ] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Print the last entries of the trail, the oldest first.

    With --person: those about this person, who need not be enrolled any more, and those about everybody in the
    collection, such as an export.
    """
    from face128.gallery.trail.reading import page, readable

    found: list[Entry] = []
    with open_gallery(collection) as gallery, gallery.database.reading() as connection:
        while len(found) < last:
            before = found[-1].seq if found else None
            block = page(connection, min(PAGE_ENTRIES, last - len(found)), before=before, person=person)
            found += block
            if not block:
                break
    if as_json or not OUT.is_terminal:
        for entry in reversed(found):
            print(json.dumps(readable(entry)))
        return
    _print_entries(found[::-1], of_person=person is not None)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write: a line of JSON each.")],
) -> None:
    """Write the whole trail into a file, with the hash of each entry."""
    from face128.gallery.trail.check import Head
    from face128.gallery.trail.reading import as_stored, walk

    count, head = 0, None
    with open_gallery() as gallery, replacing(file) as out, gallery.database.reading() as connection:
        for entry in walk(connection):
            out.write(as_stored(entry) + "\n")
            count, head = count + 1, Head(entry.seq, entry.hash)
    print(
        plural(count, "entry", "entries") + (f", the head: {head}" if head else ""),
        file=sys.stderr if is_stream(file) else sys.stdout,
    )


def _print_checked(found: Checked) -> None:
    if not found.entries and not found.faults:
        OUT.say(OFF)
        return
    for fault in found.faults:
        OUT.say(fault, style="bad")
    if found.fault_count > len(found.faults):
        OUT.say(f"and {found.fault_count - len(found.faults):,} more faults")
    count = plural(found.entries, "entry", "entries")
    verdict = "This is not the trail that face128 has written." if found.faults else "Nothing was changed or removed."
    OUT.say(f"{count}, from {found.first_at} to {found.last_at}. {verdict}", style="bad" if found.faults else "good")
    if found.keyed_from:
        OUT.say(f"From entry {found.keyed_from} on, the hashes need the gallery's key.")
    if found.head and not found.faults:
        OUT.say("The head, to be kept elsewhere:")
        OUT.command(str(found.head))


def _print_entries(entries: list[Entry], *, of_person: bool) -> None:
    if not entries:
        OUT.say("There is no entry about this person." if of_person else OFF)
        return
    rows = [
        [
            f"{entry.at[:10]} {entry.at[11:19]}",
            entry.actor,
            entry.action,
            entry.result,
            {"*": "everybody", "": ""}.get(entry.person, "them" if of_person else entry.person[:8]),
            entry.collection,
            "" if entry.details == "{}" else entry.details,
        ]
        for entry in entries
    ]
    headings = ["time (UTC)", "who", "what", "result", "whom", "collection", "details"]
    if not any(row[5] for row in rows):
        rows, headings = [row[:5] + row[6:] for row in rows], headings[:5] + headings[6:]
    OUT.table(headings, rows, cut=True)
    if not of_person:
        ERR.say("The beginnings of keyed hashes stand for people: face128 trail show --person NUMBER asks about one.")
