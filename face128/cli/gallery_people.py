"""face128 gallery export --person, and purge: what is kept about people, and until when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.cli.open_gallery import open_gallery
from face128.domain.members import RegNo
from face128.gallery.trail.entry import EVERYBODY
from face128.jobs.files import replacing
from face128.terminal.speech import OUT, plural

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.people.purge import Due

PersonOption = Annotated[
    str | None,
    typer.Option("--person", metavar="NUMBER", help="Everything about this member alone, readable, for who asks."),
]

REASONS = {"expired": "their time is over", "retention": "FACE128_RETENTION_DAYS", "inactive": "FACE128_INACTIVE_DAYS"}


def export_person(gallery: Gallery, user_id: str, file: Path) -> int:
    """Write everything about one person; return the number of photos."""
    from face128.gallery.people.person_file import as_text, person_file

    written = person_file(gallery, user_id)
    with replacing(file) as out:
        gallery.accounts.note("export", person=user_id, details={"faces": len(written["photos"])})
        out.write(as_text(written))
    return len(written["photos"])


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would be erased, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON; also without a terminal.")] = False,
) -> None:
    """Erase whose time is over, in all collections, as a running service does by itself.

    Their expires_at has come, or the days of FACE128_RETENTION_DAYS or FACE128_INACTIVE_DAYS are over.
    """
    with open_gallery() as gallery:
        if dry_run:
            gallery.accounts.note("list", person=EVERYBODY)
            _print_due(gallery.purger.due(), as_json=as_json or not OUT.is_terminal)
            return
        done = gallery.purger.run()
    pending = "; their bytes remain in the log until another process has read the gallery" * done.pending
    print(f"Erased: {plural(done.people, 'person', 'people')}, with {plural(done.faces, 'photo')}{pending}")


def _print_due(due: list[Due], *, as_json: bool) -> None:
    if as_json:
        for one in due:
            number, name = _who(one)
            line = {"regNo": number, "name": name, "collection": one.collection}
            print(json.dumps(line | {"photos": one.faces, "reason": one.reason}, ensure_ascii=False))
        return
    rows = [[_who(one)[0], _who(one)[1] or "", one.collection, one.faces, REASONS[one.reason]] for one in due]
    OUT.table(["number", "name", "collection", "photos", "because"], rows, cut=True)
    OUT.say(f"{plural(len(due), 'person', 'people')} would be erased. Nothing was changed.")


def _who(due: Due) -> tuple[RegNo, str | None]:
    return ("(damaged)", None) if due.person is None else (due.person.reg_no, due.person.name)
