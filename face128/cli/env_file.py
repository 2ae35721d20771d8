"""Files of settings, a line NAME=value for each, as ``docker run --env-file`` and systemd read them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from face128.errors import BadRequest
from face128.jobs.files import read_file

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file. A value may stand in quotes. Raises BadRequest that names the file and the line."""
    try:
        lines = read_file(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not UTF-8.") from None
    variables = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadRequest(f"Line {number} of {path} is not NAME=value.")
        name, value = found[1], found[2].strip()
        in_quotes = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        variables[name] = value[1:-1] if in_quotes else value
    return variables


def apply_env_file(path: Path) -> None:
    """Set the variables of a file. One that is set already keeps its value, as with Docker's ``-e``."""
    for name, value in read_env_file(path).items():
        if not os.environ.get(name):
            os.environ[name] = value
