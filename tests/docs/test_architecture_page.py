"""docs/architecture.md against the layers that import-linter enforces, and the length of its journeys."""

from __future__ import annotations

import re
import tomllib

import pytest
from markdown_pages import DOCS, sections, table_rows
from paths import ROOT

PAGE = (DOCS / "architecture.md").read_text()
JOURNEYS = ("A photo: POST /encode-image", "A probe: POST /match", "A re-encoding job: face128 reencode")
MAX_FILES = 8


def section(title: str) -> str:
    (text,) = (each.text for each in sections(PAGE, 2) if each.title == title)
    return text


def test_the_table_has_the_layers_from_top_to_bottom() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = [set(re.findall(r"`(\w+)`", cells[0])) for cells in table_rows(section("The folders"))]
    assert [row for row in rows if row] == [set(layer.split(" | ")) for layer in layers]


@pytest.mark.parametrize("title", JOURNEYS)
def test_a_journey_is_told_in_few_files(title: str) -> None:
    files = re.findall(r"face128/[\w/]+\.py", section(title))
    assert 5 <= len(set(files)) <= MAX_FILES
    assert len(files) == len(set(files))
