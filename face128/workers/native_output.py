"""What native code in the worker processes writes to stderr: libtiff's warnings, the last words of a crash.

It goes through a pipe: each line becomes a log record of level debug, and the lines before a crash are kept for the
record of the crash. The log of the service consists of records alone, whatever a photo makes a decoder write.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from typing import BinaryIO

KEPT_LINES = 60  # the stacks of a crash, as Python's fault handler writes them
MAX_LINE_CHARACTERS = 500
DRAIN_TIMEOUT_S = 1.0

log = logging.getLogger("face128")


class NativeOutput:
    """Reads the pipe in a thread, until every process that writes to it has ended."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe  # unbuffered
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._lock = threading.Lock()
        self._ended = False
        threading.Thread(target=self._read, name="face128-native-output", daemon=True).start()

    def take_last_lines(self) -> str:
        """What was written last and has not been taken, each line after a line break.

        Nothing is missing that a process which has ended wrote.
        """
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while not self._ended and self._is_readable(timeout_ms=0) and time.monotonic() < deadline:
            time.sleep(0.001)
        with self._lock:
            text = "".join(f"\n{line}" for line in self._lines)
            self._lines.clear()
        return text

    def _is_readable(self, timeout_ms: int | None) -> bool:
        poll = select.poll()  # select takes no descriptor above 1,023
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(timeout_ms))

    def _read(self) -> None:
        incomplete = b""
        while self._is_readable(timeout_ms=None):
            with self._lock:  # what has left the pipe is in ``_lines``
                chunk = self._pipe.read(2**16)
                if not chunk:
                    self._ended = True
                    return
                *complete, incomplete = (incomplete + chunk).split(b"\n")
                incomplete = incomplete[:MAX_LINE_CHARACTERS]
                lines = [_printable(line) for line in complete if line]
                self._lines.extend(lines)
            for line in lines:
                log.debug("native code in a worker process: %s", line)


def _printable(line: bytes) -> str:
    text = line[:MAX_LINE_CHARACTERS].decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)
