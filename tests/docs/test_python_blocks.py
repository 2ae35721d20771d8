"""Python blocks of the README and of docs/, run page by page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from markdown_pages import DOCS, README, fenced_blocks
from paths import ROOT

PAGES = [page for page in (README, *sorted(DOCS.rglob("*.md"))) if fenced_blocks(page, "python")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    blocks = fenced_blocks(page, "python")
    script = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    promised = [line.partition("  # ")[2] for line in script.splitlines() if line.startswith("print(")]
    assert done.stdout.splitlines() == promised


def test_there_are_such_pages() -> None:
    assert {"README.md", "library.md", "face_recognition.md"} <= {page.name for page in PAGES}
