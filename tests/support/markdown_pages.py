"""The project's Markdown pages, taken apart: sections, tables, fenced blocks, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from paths import ROOT

DOCS = ROOT / "docs"
README = ROOT / "README.md"
SKIPPED_FOLDERS = {"node_modules", ".venv", ".git"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Section:
    title: str
    """Without the hashes; empty for the text before the first heading."""
    text: str


def every_page() -> list[Path]:
    """Every Markdown file of the repository."""
    return sorted(page for page in ROOT.rglob("*.md") if not SKIPPED_FOLDERS & set(page.parts))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def fenced_blocks(page: Path, language: str) -> list[str]:
    return [block for language_, block in FENCE.findall(page.read_text()) if language_ == language]


def shell_blocks(page: Path) -> list[str]:
    return fenced_blocks(page, "sh")


def sections(text: str, level: int) -> list[Section]:
    """The text cut at its headings of this level; a heading of a smaller level ends a section too."""
    parts = re.split(rf"^(#{{1,{level}}}) (.+)$", text, flags=re.MULTILINE)
    found = [Section("", parts[0])]
    for hashes, title, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        found.append(Section(title if len(hashes) == level else "", body))
    return found


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row, without the lines that separate a table's head."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to the page's headings."""
    titles = re.findall(r"^#{1,6} (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
