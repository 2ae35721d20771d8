"""The service's side of the fork server: starts it, asks it to fork and reap workers, and replaces it where it fails.

Every wait has a bound. A fork server that does not answer in time is killed, and started again for the next worker.
"""

from __future__ import annotations

import logging
import pickle
import socket
import threading
from contextlib import suppress
from typing import NamedTuple

from face128.domain.model_card import ModelCard
from face128.errors import STOPPING, NotReady, Overloaded
from face128.settings import Settings
from face128.workers import launcher
from face128.workers.fork_server import FORK, MAX_CONTROL_BYTES
from face128.workers.launcher import KILL_TIMEOUT_S, ForkServerProcess
from face128.workers.native_output import NativeOutput

ANSWER_TIMEOUT_S = 10.0  # for a worker to be forked or reaped, which takes milliseconds
LOAD_TIMEOUT_S = 300.0  # for the engines to be loaded and tried, which takes some seconds

log = logging.getLogger("face128")


class WorkerProcess(NamedTuple):
    process_id: int
    connection: socket.socket
    fork_server: ForkServerProcess | None  # its parent, which alone can reap it
    native_output: NativeOutput


class ForkServerClient:
    """Thread-safe: one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self.closed = False
        self._settings = settings.without_secrets()
        self._server: ForkServerProcess | None = None
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start the process, and return while it loads the engines."""
        with self._lock:
            if self.closed:
                raise Overloaded(STOPPING)
            self._server = launcher.launch()
            self._native_output = NativeOutput(self._server.native_output)
            if self.closed:  # by another thread, perhaps before there was a process to kill
                self._end()
                raise Overloaded(STOPPING)
            with suppress(OSError):  # it has died, as _receive will find out
                self._server.control.send(pickle.dumps(self._settings))

    def load(self) -> dict[str, ModelCard | str]:
        """Wait for the engines: the card of each by its name, or why it could not be loaded. Blocking: some seconds."""
        with self._lock:
            if self._server is None:
                self.start()
            try:
                cards: dict[str, ModelCard | str] = pickle.loads(self._receive(LOAD_TIMEOUT_S))  # noqa: S301  (no photo yet)
            except OSError as error:
                reason = "took too long" if isinstance(error, TimeoutError) else "died"
                return dict.fromkeys(self._settings.engines, f"The process that loads the engines {reason}.")
            return cards

    def fork(self) -> WorkerProcess:
        """A new worker. Raises NotReady if no fork server can be started, Overloaded if the client is closed."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for start_first in (False, True):
                if start_first:
                    self.load()
                with suppress(OSError):
                    return WorkerProcess(self._request(FORK, theirs), ours, self._server, self._native_output)
        ours.close()
        raise NotReady("No process can be started for photos. Try again shortly.")

    def reap(self, worker: WorkerProcess) -> int | None:
        """End a worker. Its exit status (negative: the signal); None if its fork server has ended, too."""
        worker.connection.close()
        with self._lock:
            if worker.fork_server is self._server:
                with suppress(OSError):
                    return self._request(b"%d" % worker.process_id)
        return None

    def close(self) -> None:
        """End the fork server and its workers. A job that runs is lost."""
        self.closed = True
        if server := self._server:
            server.process.kill()  # a thread that holds the lock while it waits for an answer gets an error now
        with self._lock:
            self._end()

    def _request(self, request: bytes, *handed_over: socket.socket) -> int:
        """The answer to a request. Raises OSError if there is none: the fork server is then ended."""
        if self._server is None:
            raise ConnectionResetError
        with suppress(OSError):  # it has died, as _receive will find out
            self._server.control.settimeout(ANSWER_TIMEOUT_S)
            socket.send_fds(self._server.control, [request], [each.fileno() for each in handed_over])
        return int(self._receive(ANSWER_TIMEOUT_S))

    def _receive(self, seconds: float) -> bytes:
        """The next message of the fork server. If there is none in time: ends it, and raises OSError."""
        assert self._server is not None
        self._server.control.settimeout(seconds)
        try:
            if message := self._server.control.recv(MAX_CONTROL_BYTES):
                return message
            raise ConnectionResetError
        except OSError as error:
            if not self.closed:
                timed_out = isinstance(error, TimeoutError)
                reason = f"does not answer in {seconds:g} seconds" if timed_out else "has died"
                log.error("the fork server %s%s", reason, self._native_output.take_last_lines())
            self._end()
            raise

    def _end(self) -> None:
        if self._server is not None and not self._server.end():
            log.error("the fork server has not ended %g seconds after SIGKILL", KILL_TIMEOUT_S)
        self._server = None
