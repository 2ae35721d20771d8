"""Opens a page that a command has written, for --open."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from face128.terminal.speech import ERR


def open_in_browser(page: Path) -> None:
    """Show the file in the person's browser, or say that there is none."""
    if not webbrowser.open(page.resolve().as_uri()):
        ERR.say(f"No browser could be opened here: open {page} yourself.")
