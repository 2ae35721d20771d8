"""face128 gallery: list, export, import, erase, stats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.errors import BadRequest
from face128.jobs.files import holds_data, is_stream, read_file, replacing
from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

app = typer.Typer(no_args_is_help=True, help="Who is enrolled: list, export, import, erase, stats.")

PAGE_RECORDS = 1000

Force = Annotated[bool, typer.Option("--force", help="Also faces that two people share, or of a model not comparable.")]
Model = Annotated[str | None, typer.Option("--model", help="The model to export, if the gallery has several.")]


@app.command("list")
def list_people() -> None:
    """Print one line of JSON for each face, in the order of enrolment, without descriptors."""
    with _gallery() as gallery:
        skip, total = 0, 1
        while skip < total:
            total, records = gallery.page(skip, PAGE_RECORDS)
            for record in records:
                line = {"regNo": record.person.reg_no, "name": record.person.name, "id": record.id}
                line |= {"model": record.model, "created_at": record.created_at.isoformat(timespec="seconds")}
                print(json.dumps(line | record.photo_facts | {"metadata": record.metadata}, ensure_ascii=False))
            skip += PAGE_RECORDS


@app.command("export")
def export_file(file: Annotated[Path, typer.Argument(help="The file to write.")], model: Model = None) -> None:
    """Write all members, with descriptors and model, to a file that /match accepts and import restores."""
    from face128.gallery.transfer import export_members

    with _gallery() as gallery:
        with replacing(file) as out:
            count = export_members(gallery, out, model)
            if not count and model:
                raise BadRequest("The gallery has no faces of this model. Nothing was written.")
            if not count and holds_data(file):
                raise BadRequest(f"The gallery has no faces: {file} stays as it was. Delete it first if that is right.")
        print(f"{count} faces", file=sys.stderr if is_stream(file) else sys.stdout)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A list of members, a body of /match, or an export.")],
    force: Force = False,
) -> None:
    """Enrol all members of a file, or none. Faces that are stored already stay as they are."""
    from face128.gallery.transfer import import_rows, parse_file

    with _gallery() as gallery:
        card, rows = parse_file(read_file(file))
        new = import_rows(gallery, card, rows, force=force)
        print(f"{len(rows)} faces of {card.name} in the file, {new} of them new")


@app.command()
def erase(user_id: Annotated[str, typer.Argument(help="A user_id, or the id of a record.")]) -> None:
    """Erase a person: every row and vector, at once, and in every running service."""
    with _gallery() as gallery:
        erasure = gallery.erase_user(user_id)
        pending = "; their bytes remain in the log until another process has read the gallery" * erasure.pending
        print(f"{len(erasure.records)} faces erased{pending}")


@app.command()
def stats() -> None:
    """Print the number of people and faces, and the models, as JSON."""
    from face128.gallery.transfer import statistics

    with _gallery() as gallery:
        print(json.dumps(statistics(gallery)))


@contextmanager
def _gallery() -> Iterator[Gallery]:
    from face128.gallery.gallery import Gallery

    with closing(Gallery.from_settings(load_settings())) as gallery:
        yield gallery
