"""Runs the command line as an operator does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving import environment


def face128(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "face128", *map(str, arguments)]
    return subprocess.run(command, env=environment(**settings), capture_output=True, text=True, timeout=120)
