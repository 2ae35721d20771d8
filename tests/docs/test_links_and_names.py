"""Every link, path and command that the documents name exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from markdown_pages import DOCS, LINK, README, anchors, every_page, prose
from paths import ROOT

PAGES = every_page()
OWN_PAGES = [README, *(ROOT / f"{name}.md" for name in ("SECURITY", "CONTRIBUTING", "CHANGELOG")), *DOCS.rglob("*.md")]
FOLDERS = "face128|tests|benchmarks|docs|fixtures|clients|deploy|website"
REPOSITORY_PATH = re.compile(rf"(?<![\w/@.:-])(?:{FOLDERS})/[\w./-]*\w/?")
TEST_FILE = re.compile(r"(?<![\w/])test_\w+\.py")


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", OWN_PAGES, ids=relative)
def test_every_path_exists(page: Path) -> None:
    text = LINK.sub("]", page.read_text())
    missing = [path for path in REPOSITORY_PATH.findall(text) if not (ROOT / path).exists()]
    missing += [name for name in TEST_FILE.findall(text) if not list((ROOT / "tests").rglob(name))]
    assert not missing


@pytest.mark.parametrize("page", OWN_PAGES, ids=relative)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(?:\w+::)*(\w+)", page.read_text()):
        assert re.search(rf"(def|class) {name}\b", (ROOT / file).read_text()), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for line in re.findall(r"`make ([^`]*)`|^make ([^#\n]*)", text, flags=re.MULTILINE):
        words = [word for word in "".join(line).split() if not re.match(r"[A-Z_0-9]+=", word)]
        assert set(words) <= targets, line
    for part in re.findall(r"python -m benchmarks ([a-z_]+)", text):
        assert hasattr(import_module(f"benchmarks.{part}"), "measure"), part
    for module in re.findall(r"python -m benchmarks\.([a-z_]+)", text):
        assert (ROOT / "benchmarks" / f"{module}.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_older_services_have_names_and_no_numbers(page: Path) -> None:
    assert not re.search(r"\b[Dd]ocuments? [0-4]\b", page.read_text())


def test_every_page_is_in_the_index() -> None:
    linked = {(DOCS / link).resolve() for link in LINK.findall((DOCS / "README.md").read_text()) if "#" not in link}
    assert {page.resolve() for page in DOCS.rglob("*.md")} - {DOCS / "README.md"} <= linked
