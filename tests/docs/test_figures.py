"""Figures in the documents can be traced: to docs/benchmarks.json, or to a date and a command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markdown_pages import DOCS, README, prose, sections
from paths import ROOT

from benchmarks import readme_table

FIGURE = re.compile(
    r"\d\s(?:ms|s|MB|GB|µs)\b"  # a limit or a setting is written out: "10 seconds", "64 MiB"
    r"|\d(?:\.\d+)?\s?[×x](?!\w|\s?\d|\s?\()"
    r"|\d(?:\.\d+)? times as (?:many|fast|good|long|much|large)"
)
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(rf"\b\d{{1,2}}(?:(?: to|,| and) \d{{1,2}})* (?:{MONTHS}) 20\d\d\b")
PROGRAM = r"(?:make|(?:\.venv/bin/)?python|npm) [^`]+"
MEASURING_COMMAND = r"face128 (?:audit|calibrate|doctor|evaluate|reencode)[^`]*"
COMMAND = re.compile(rf"`(?:[A-Z_0-9]+=\S+ )*(?:{PROGRAM}|{MEASURING_COMMAND})`")
PAGES = sorted(page for page in (*DOCS.rglob("*.md"), ROOT / "SECURITY.md") if page.name != "benchmarks.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_section_with_a_measured_figure_has_its_date_and_its_command(page: Path) -> None:
    for section in sections(prose(page), 2):
        if not (figure := FIGURE.search(section.text)):
            continue
        where = f"## {section.title}: {section.text[max(0, figure.start() - 60) : figure.end() + 20]!r}"
        if re.search(r"\]\((?:\.\./)?benchmarks\.md\)", section.text):
            continue
        assert DATE.search(section.text), f"no date in {where}"
        assert COMMAND.search(section.text), f"no command in {where}"


def test_the_pattern_finds_figures_and_no_limits() -> None:
    for figure in ("5.2 ms", "1.12 s until", "219 MB", "10.8×", "2.1x |", "14 times as fast"):
        assert FIGURE.search(figure), figure
    for limit in ("10 seconds", "12 MiB", "3x112x112", "50 × (1 + similarity)", "64 images", "100 members"):
        assert not FIGURE.search(limit), limit


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_the_readmes_table_is_that_of_the_benchmarks() -> None:
    _, _, rest = README.read_text().partition(readme_table.BEGIN)
    table, end, _ = rest.partition(readme_table.END)
    assert end
    assert table.strip() == readme_table.render(json.loads(readme_table.DOCUMENT.read_text()))


def test_the_readme_has_no_other_figures() -> None:
    before, _, rest = README.read_text().partition(readme_table.BEGIN)
    assert not FIGURE.search(before + rest.partition(readme_table.END)[2])
