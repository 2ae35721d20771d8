"""What is recorded is what docs/trail.md lists, and each change of the gallery is recorded in its own transaction."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from markdown_pages import DOCS, sections, table_rows
from people import add_record, enrol

from face128.domain.terms import NO_CHANGES
from face128.errors import Face128Error
from face128.gallery.gallery import Gallery
from face128.gallery.people import person_changes
from face128.gallery.storage.tables import state
from face128.gallery.trail.entry import ACTIONS, Entry
from face128.gallery.trail.reading import walk
from face128.gallery.transfer.importing import import_members
from face128.gallery.transfer.member_file import MemberFile

ONE, TWO = (np.full(128, value, np.float32) for value in (0.1, 0.9))
RECORDING = {"record": 1, "note": 0, "Deed": 0, "of_caller": 0}
"""Functions that record, and which of their arguments is the action."""


def test_the_documented_actions_are_those_of_the_code() -> None:
    (text,) = (
        section.text for section in sections((DOCS / "trail.md").read_text(), 2) if section.title == "What is recorded"
    )
    documented = {action for row in table_rows(text) for action in re.findall(r"`(\w+)`", row[0])}
    found = {action for tree in trees() for action in actions(tree)}
    assert found == documented == set(ACTIONS)


def trees() -> Iterator[ast.Module]:
    package = Path(str(files("face128")))
    for path in sorted(package.rglob("*.py")):
        yield ast.parse(path.read_text())


def actions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if (place := RECORDING.get(name)) is not None and len(node.args) > place:
                yield from texts(node.args[place])


def texts(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", trail=True)) as gallery:
        enrol(gallery, "1", ONE)
        yield gallery


def entries(gallery: Gallery) -> list[Entry]:
    with gallery.database.reading() as connection:
        return list(walk(connection))


def imported(gallery: Gallery) -> None:
    members = [{"regNo": number, "name": "A", "descriptor": (TWO + number).tolist()} for number in range(3)]
    import_members(gallery, MemberFile(io.BytesIO(json.dumps(members).encode())))


CHANGES: dict[str, Callable[[Gallery], object]] = {
    "enrol": lambda gallery: enrol(gallery, "2", TWO),
    "enrol of a record": lambda gallery: add_record(gallery, "Jane", TWO),
    "replace": lambda gallery: enrol(gallery, "1", TWO, replace=True),
    "erase": lambda gallery: gallery.erase_user("1"),
    "import": imported,
    "update": lambda gallery: person_changes.change(gallery, "1", NO_CHANGES, "Jane"),
}


@pytest.mark.parametrize("action", CHANGES)
def test_a_change_is_recorded_or_it_is_not_made(gallery: Gallery, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trail that cannot be written, because its next number is taken, lets nothing be changed."""
    before = entries(gallery)
    with gallery.database.reading() as connection:
        (version,) = connection.execute(sa.select(state.c.version)).one()
    with sa.create_engine(gallery.database._engine.url).begin() as connection:
        taken = {**vars(before[-1]), "seq": len(before) + 1}
        connection.execute(sa.insert(sa.table("trail", *map(sa.column, taken))).values(taken))
    with pytest.raises((sa.exc.IntegrityError, Face128Error)):
        CHANGES[action](gallery)
    with gallery.database.reading() as connection:
        assert connection.execute(sa.select(state.c.version)).one() == (version,)
    with sa.create_engine(gallery.database._engine.url).begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM trail WHERE seq > {len(before)}")
    CHANGES[action](gallery)
    new = entries(gallery)[len(before) :]
    assert {entry.action for entry in new} == {action.split()[0]}
