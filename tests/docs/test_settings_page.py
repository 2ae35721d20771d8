"""docs/settings.md against the settings themselves, and every FACE128_* name in the documents against both."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

import pytest
from markdown_pages import DOCS, every_page, table_rows
from paths import ROOT
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from face128.secret_files import FILE_VARIABLES
from face128.settings import Settings

NAME = re.compile(r"\bFACE128_[A-Z0-9_.]*[A-Z0-9]")
READ_ELSEWHERE = {"FACE128_PYTHON": "clients/client/test/support/face128.ts"}
"""Variables that are no setting of the service, and the file that reads each."""
UNITS = {"KiB": 2**10, "MiB": 2**20}
CHOSEN_AT_START = {
    "threads": "cores",
    "max_body_memory": "256 MiB",
    "isolation": "`process` on Linux, else `thread`",
    "data": "`~/.local/share/face128`",
}
"""Defaults that depend on the machine."""


def variables(name: str) -> list[str]:
    """The names under which a setting is read, the first first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"FACE128_{name.upper()}"]


def documented() -> dict[str, list[str]]:
    """The cells of each row, by the first variable that it names."""
    rows = [row for row in table_rows((DOCS / "settings.md").read_text()) if row[0].startswith("`")]
    return {re.findall(r"`(\w+)`", row[0])[0]: row for row in rows}


def default_of(cell: str, field: FieldInfo) -> Any:
    """The default that a cell states."""
    if cell == "none":
        return () if field.default == () else None
    if cell.startswith("`"):
        text = cell.strip("`")
        return tuple(text.split(",")) if isinstance(field.default, tuple) else text
    number, _, unit = cell.replace(",", "").partition(" ")
    return float(number) * UNITS.get(unit, 1)


def test_every_setting_has_a_row_and_every_row_is_a_setting() -> None:
    assert list(documented()) == [
        row for row in documented() if row in {variables(n)[0] for n in Settings.model_fields}
    ]
    assert set(documented()) == {variables(name)[0] for name in Settings.model_fields}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_row_has_the_names_the_default_and_the_choices(name: str) -> None:
    field, (names, default, meaning) = Settings.model_fields[name], documented()[variables(name)[0]]
    assert re.findall(r"`(\w+)`", names) == variables(name)
    if name in CHOSEN_AT_START:
        assert default == CHOSEN_AT_START[name]
    else:
        assert field.default_factory is None
        assert default_of(default, field) == field.default
    if get_origin(field.annotation) is Literal:
        choices = {f"`{choice}`" for choice in get_args(field.annotation)}
        assert choices <= set(re.findall(r"`[\w+]+`", default + meaning))


def test_every_name_in_the_documents_is_a_setting() -> None:
    known = {variable for name in Settings.model_fields for variable in variables(name)} | READ_ELSEWHERE.keys()
    known |= set(FILE_VARIABLES)
    others = [path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix != ".md"]
    for page in [*every_page(), *others, ROOT / "Dockerfile"]:
        unknown = set(NAME.findall(page.read_text())) - known
        assert not unknown, f"{page.relative_to(ROOT)}: {unknown}"


@pytest.mark.parametrize(("name", "reader"), READ_ELSEWHERE.items())
def test_what_is_no_setting_is_read_by_a_file(name: str, reader: str) -> None:
    assert name in (ROOT / reader).read_text()
