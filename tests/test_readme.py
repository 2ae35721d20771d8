"""The README's curl lines, pasted into a shell beside a running service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from paths import ROOT

ADDRESS = "http://127.0.0.1:8000"
BLOCKS = [
    block
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    if f"{ADDRESS}/" in block
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0])
def test_the_lines_work_when_pasted(service: httpx.Client, block: str, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")  # the files that the lines write stay out of the repository
    pasted = block.replace(ADDRESS, str(service.base_url).rstrip("/"))
    script = "set -e -o pipefail\n" + pasted.replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines() if line.strip()]
    assert answers
    promised = [match for match in re.findall(r"^# (\{.*\})$", block, flags=re.MULTILINE) if "..." not in match]
    for answer in promised:
        assert json.loads(answer) in answers


def test_there_are_lines_to_paste() -> None:
    assert len(BLOCKS) >= 2
