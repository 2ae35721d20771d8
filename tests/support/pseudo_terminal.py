"""Drives a command in a pseudo-terminal of a given width, as a person at a keyboard does; every wait has an end."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pyte
from forked_command import start

LINES = 300  # the screen is so high that nothing scrolls off it
TIMEOUT_S = 60
CTRL_C, CTRL_D = "\x03", "\x04"


class PseudoTerminal:
    """The screen of a running command, and its keyboard."""

    def __init__(self, master: int, process: ForkServerProcess, columns: int) -> None:
        self.columns = columns
        self.raw = b""
        self._master, self._process = master, process
        self._screen = pyte.Screen(columns, LINES)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without the spaces at the ends of lines and the empty lines at its end."""
        return self.text.splitlines()

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def cursor_is_shown(self) -> bool:
        return not self._screen.cursor.hidden

    def type(self, keys: str) -> None:
        """Send keys: ``"y\\n"``, or CTRL_C, which the terminal turns into SIGINT for the command and its processes."""
        os.write(self._master, keys.encode())

    def wait_for(self, condition: str | Callable[[str], bool], timeout_s: float = TIMEOUT_S) -> str:
        """Wait until the screen shows a text, or meets a condition, and return it."""
        shown = condition if callable(condition) else lambda text: condition in text
        deadline = time.monotonic() + timeout_s
        while not shown(self.text):
            assert time.monotonic() < deadline, f"{condition} does not appear:\n{self.text}"
            assert self._read(deadline) or shown(self.text), f"the command ended without {condition}:\n{self.text}"
        return self.text

    def end(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until the command has ended, and return its exit status."""
        deadline = time.monotonic() + timeout_s
        while self._read(deadline):
            assert time.monotonic() < deadline, f"the command does not end:\n{self.text}"
        self._process.join(max(0.1, deadline - time.monotonic()))
        assert self._process.exitcode is not None, f"the command does not end:\n{self.text}"
        return self._process.exitcode

    def _read(self, deadline: float) -> bool:
        """Draw what has come; False at the end of the output."""
        wait_s = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._master, self._process.sentinel], [], [], wait_s)
        if self._master not in ready:
            return not ready
        data = os.read(self._master, 65536)
        self.raw += data
        self._stream.feed(data)
        return True


@contextmanager
def pseudo_terminal(
    folder: Path, *arguments: str | Path, columns: int = 80, stdout: str = "", code: str = "", **settings: str
) -> Iterator[PseudoTerminal]:
    """``face128`` with these arguments in ``folder``, until the block ends.

    ``stdout``: a path, if not the terminal. ``code``: Python to run instead of ``face128``.
    """
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    path = os.ttyname(slave)
    settings = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": "", "NO_COLOR": "", "FORCE_COLOR": "", **settings}
    process = start(folder, arguments, [path, stdout or path, path], settings, in_terminal=True, code=code)
    try:
        yield PseudoTerminal(master, process, columns)
    finally:
        process.kill()
        process.join(10)
        os.close(slave)
        os.close(master)
