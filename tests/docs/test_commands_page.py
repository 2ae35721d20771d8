"""docs/commands.md has every command, and names those of each group."""

from __future__ import annotations

import re

from markdown_pages import DOCS, table_rows
from typer.main import get_command

from face128.cli.main import app


def test_the_page_has_every_command() -> None:
    commands = get_command(app).commands
    cells = table_rows((DOCS / "commands.md").read_text())
    rows = {row[0].strip("` ").removeprefix("face128 "): row[1] for row in cells if "face128 " in row[0]}
    assert list(rows) == list(commands)
    for name, command in commands.items():
        if members := getattr(command, "commands", None):
            assert re.findall(r"`([\w-]+)`", rows[name]) == list(members), name
