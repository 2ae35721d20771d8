"""Starts the fork server, for ``face128 serve`` before anything else is imported.

Loading the engines is the longest part of a start. Importing what reads the settings takes half a second: time enough
for the fork server to import what dlib's engine needs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import BinaryIO, NamedTuple

STDERR_FD = 2
KILL_TIMEOUT_S = 5.0
"""For a process to end after SIGKILL. One that the kernel does not let go of (a lost disk) may take any time."""


class ForkServerProcess(NamedTuple):
    """It waits for its settings on the control socket, and ends when the service closes the socket or ends itself."""

    process: subprocess.Popen[bytes]
    control: socket.socket  # SOCK_SEQPACKET: a message is received whole or not at all
    native_output: BinaryIO  # what it and its workers write to their stderr, but for the log

    def end(self) -> bool:
        """Kill it, and its workers with it. Whether it has ended within KILL_TIMEOUT_S."""
        self.control.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(KILL_TIMEOUT_S)
        return self.process.returncode is not None


_early: ForkServerProcess | None = None


def launch_early() -> None:
    """Start a process before the settings are known: meanwhile it imports what dlib's engine needs."""
    global _early
    _early = _launch(preload_dlib=True)


def launch() -> ForkServerProcess:
    """A process that waits for its settings: the first time the one of ``launch_early``, if there is one."""
    global _early
    early, _early = _early, None
    return early or _launch(preload_dlib=False)


def drop_early() -> None:
    """End the process of ``launch_early``: the settings want no fork server."""
    if _early is not None:
        launch().end()


def _launch(preload_dlib: bool) -> ForkServerProcess:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read_end, write_end = os.pipe()
    try:
        log_fd = os.dup(STDERR_FD)
    except OSError:  # this process was started without one
        log_fd = os.open(os.devnull, os.O_WRONLY)
    code = f"from face128.workers.fork_server import main; main({theirs.fileno()}, {log_fd}, {preload_dlib})"
    # No settings and no keys; one thread a worker: photos run in parallel, not the parts of one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FACE128_", "API_KEY", "OTEL_"))}
    process = subprocess.Popen(  # noqa: S603  (nothing in it comes from outside)
        [sys.executable, "-c", code],
        env=environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stderr=write_end,
        pass_fds=[theirs.fileno(), log_fd],
        start_new_session=True,  # Ctrl-C in the terminal is for the service alone
    )
    theirs.close()
    os.close(write_end)
    os.close(log_fd)
    return ForkServerProcess(process, ours, os.fdopen(read_end, "rb", 0))
