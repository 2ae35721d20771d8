"""Shell blocks of the README and of docs/, pasted into a shell beside a running service, page by page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from markdown_pages import DOCS, README, shell_blocks
from paths import ROOT
from serving import serving

ADDRESS = "http://127.0.0.1:8000"
COMMAND = re.compile(r"\s*\.venv/bin/face128 (encode|match|doctor|keys) ")


def runs_here(block: str) -> bool:
    """Whether a block asks the service, or has nothing but commands that need none."""
    return f"{ADDRESS}/" in block or all(map(COMMAND.match, block.splitlines()))


# Not those of docs/deploy/, which install and deploy: test_deploy_pages.py runs what can be run.
WITH_BLOCKS = [README, *(page for page in DOCS.rglob("*.md") if page.parent.name != "deploy")]
BLOCKS = {page: [block for block in shell_blocks(page) if runs_here(block)] for page in WITH_BLOCKS}
PAGES = sorted(page for page, blocks in BLOCKS.items() if blocks)


@pytest.fixture
def own_service() -> Iterator[httpx.Client]:
    """A service whose gallery no other page fills."""
    with serving() as client:
        yield client


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_work_when_pasted(page: Path, own_service: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")  # the files that the lines write stay out of the repository
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for block in BLOCKS[page]:
        pasted = block.replace(ADDRESS, str(own_service.base_url).rstrip("/"))
        script = "set -e -o pipefail\n" + pasted.replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
        run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, f"{block}\n{run.stdout}{run.stderr}"
        answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        for promise in re.findall(r"^# (\{.*\})$", block, flags=re.MULTILINE):
            assert any(fits(expected(promise), answer) for answer in answers), f"{promise}\nis not in\n{run.stdout}"


def expected(promise: str) -> Any:
    """The JSON of an answer as a page shows it. Dots stand for anything, after digits for more digits, and at the end
    of an object or anywhere in a list for more of them."""
    text = re.sub(r"(-?\d[\d.]*?)\.\.\.", r'"\1..."', promise)
    text = re.sub(r"(?<=[{,])\.\.\.(?=\})", '"...":0', text)
    return json.loads(re.sub(r"(?<=[\[,:])\.\.\.(?=[\],}])", '"..."', text))


def fits(wanted: Any, answer: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(answer, dict):
        named = wanted.keys() - {"..."}
        return (named <= answer.keys() if "..." in wanted else named == answer.keys()) and all(
            fits(wanted[name], answer[name]) for name in named
        )
    if isinstance(wanted, list) and isinstance(answer, list):
        if "..." in wanted:
            return all(any(fits(each, one) for one in answer) for each in wanted if each != "...")
        return len(wanted) == len(answer) and all(map(fits, wanted, answer))
    if isinstance(wanted, str) and wanted.endswith("..."):
        return wanted == "..." or str(answer).startswith(wanted[:-3])
    return bool(wanted == answer)


def test_a_promise_is_compared_field_by_field() -> None:
    answer = {"a": 0.3512, "b": [1, 2], "c": {"d": "x"}}
    for good in ('{"a":0.35...,"b":[1,2],"c":{...}}', '{"b":[...],...}', '{"c":{"d":"x"},"b":[...,2],"a":...}'):
        assert fits(expected(good), answer), good
    for bad in ('{"a":0.36...,...}', '{"a":...}', '{"b":[1,2,...,3],...}', '{"b":[1],...}', '{"c":{"d":"y"},...}'):
        assert not fits(expected(bad), answer), bad


def test_the_pages_that_a_client_begins_with_are_among_them() -> None:
    names = {page.name for page in PAGES}
    services = {f"{name}-service.md" for name in ("original", "insightface", "records", "door", "embeddings")}
    assert names >= services | {"README.md"}
