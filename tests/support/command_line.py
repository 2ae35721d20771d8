"""Runs the command line as an operator does, in the folder where the tests run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from forked_command import forked


def face128(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return forked(Path.cwd(), *arguments, **settings)
