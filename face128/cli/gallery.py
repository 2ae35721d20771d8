"""face128 gallery: list, export, import, erase, stats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from face128.errors import BadRequest, Face128Error
from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

app = typer.Typer(no_args_is_help=True, help="Who is enrolled: list, export, import, erase, stats.")

PAGE = 1000

Force = Annotated[bool, typer.Option("--force", help="Also faces that two people share, or of another model.")]
Model = Annotated[str | None, typer.Option("--model", help="Which model's faces, where there are several.")]


@app.command("list")
def list_people() -> None:
    """Print one line of JSON a face, in the order in which they were enrolled; no descriptors."""
    with _gallery() as gallery:
        skip, total = 0, 1
        while skip < total:
            total, records = gallery.page(skip, PAGE)
            for record in records:
                line = {"regNo": record.person.reg_no, "name": record.person.name, "id": record.id}
                line |= {"model": record.model, "created_at": record.created_at.isoformat(timespec="seconds")}
                print(json.dumps(line | {"metadata": record.metadata}, ensure_ascii=False))
            skip += PAGE


@app.command("export")
def export_file(file: Annotated[Path, typer.Argument(help="The file to write.")], model: Model = None) -> None:
    """Write everybody with descriptors and model into a file that /match takes and import restores."""
    from face128.gallery.transfer import export

    with _gallery() as gallery:
        part = file.with_name(f"{file.name}.part")
        try:
            with part.open("w", encoding="utf-8") as out:
                count = export(gallery, out, model)
            part.replace(file)
        except OSError as error:
            raise BadRequest(f"The file cannot be written: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)
        print(f"{count} faces")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A list of members, a body of /match, or an export.")],
    force: Force = False,
) -> None:
    """Enrol everybody in a file, all or none. Faces that are there already stay as they are."""
    from face128.gallery.transfer import add, read

    with _gallery() as gallery:
        try:
            card, rows = read(file.read_bytes())
        except OSError as error:
            raise BadRequest(f"The file cannot be read: {error.strerror}.") from None
        new = add(gallery, card, rows, force=force)
        print(f"{len(rows)} faces of {card.name} in the file, {new} of them new")


@app.command()
def erase(user_id: Annotated[str, typer.Argument(help="A user_id, or the id of a record.")]) -> None:
    """Erase a person: every row and vector, at once and in every running service."""
    with _gallery() as gallery:
        print(f"{len(gallery.erase_user(user_id))} faces erased")


@app.command()
def stats() -> None:
    """Print how many people and faces there are, of which models, as JSON."""
    from face128.gallery.transfer import statistics

    with _gallery() as gallery:
        print(json.dumps(statistics(gallery)))


@contextmanager
def _gallery() -> Iterator[Gallery]:
    """The gallery of the settings; an error of ours becomes one sentence on stderr and exit status 2."""
    from face128.gallery.gallery import Gallery

    try:
        gallery = Gallery.from_settings(load_settings())
        yield gallery
        gallery.close()
    except Face128Error as error:
        where = "".join(f", {name} {error.context[name]}" for name in ("regNo", "field") if name in error.context)
        print(f"face128: {error} ({error.code}{where})", file=sys.stderr)
        raise typer.Exit(2) from None
