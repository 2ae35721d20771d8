"""Ctrl-C as a request that a job looks at, so that what its processes have finished is saved before it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from face128.terminal.speech import ERR

GRACE_S = 1.0  # for the groups of photos that are being described; what takes longer is described again next time


class Interrupt:
    """While its block runs, the first Ctrl-C sets ``requested``; the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self.wake: Callable[[], None] = lambda: None
        """Called at the first Ctrl-C, by the signal's handler: it may not wait for any lock."""
        self._announced = False
        self._handles = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interrupt:
        if self._handles:
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._previous)

    def announce(self) -> None:
        """Say that the job is stopping, once."""
        if not self._announced:
            self._announced = True
            ERR.say("Stopping...", style="bad")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self.wake()
