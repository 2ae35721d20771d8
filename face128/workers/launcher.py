"""Starts the process of the engines (processes.py), and for ``face128 serve`` before anything else is imported.

A start waits longest for the engines, and what reads the settings takes half a second to import: time enough for the
other process to import what dlib's engine needs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

Started = tuple["subprocess.Popen[bytes]", socket.socket]
"""The process, and the way to it: it waits for its settings there, and ends when nobody is left to send them."""

_ahead: Started | None = None


def start() -> Started:
    """A process that waits for its settings: the one that has been started ahead, the first time."""
    global _ahead
    started, _ahead = _ahead, None
    return started or _launch(dlib=False)


def drop() -> None:
    """Where the settings say that there is no such process: end the one that has been started ahead."""
    global _ahead
    if _ahead is not None:
        process, control = _ahead
        control.close()
        process.kill()
        process.wait()
        _ahead = None


def start_early() -> None:
    """Start the process before the settings are known: it imports what dlib's engine needs meanwhile."""
    global _ahead
    _ahead = _launch(dlib=True)


def _launch(dlib: bool) -> Started:
    ours, theirs = socket.socketpair()
    code = f"from face128.workers.fork_server import main; main({theirs.fileno()}, {dlib})"
    # Its own session: Ctrl-C in the terminal is the service's to interpret.
    process = subprocess.Popen(  # noqa: S603  (nothing in it comes from outside)
        [sys.executable, "-c", code],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return process, ours


def _environment() -> dict[str, str]:
    """Without settings and keys, and with one thread a worker: photos run in parallel, not the parts of one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FACE128_", "API_KEY"))}
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
