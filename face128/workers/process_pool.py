"""Runs the engines' work in processes of their own, and replaces one that dies or hangs.

dlib, ONNX Runtime and the decoders behind Pillow are native code: what crashes or spins there cannot be caught in the
process that it happens in. Each thread of the pool (workers.py) has a worker process, which is forked in milliseconds
from one that has loaded the engines (engine_process.py). A photo that takes its worker along costs its own request
alone; it is answered as a bad image, so that nobody tries it again, and for a while refused unseen.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import signal
import socket
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, TypeVar

from face128 import errors, events
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard
from face128.engines.base import Chips, Engine, Face
from face128.errors import STOPPING, BadImage, Face128Error, Overloaded
from face128.logs import WorkerError, request_id
from face128.photos.photo import Photo
from face128.settings import Settings
from face128.workers import fork_server, launcher
from face128.workers.fork_server import receive, send

T = TypeVar("T")

ELSEWHERE = "This engine works in a process of its own: hand it to a job."
CRASHED = "The image crashed its decoder or its detector."
REMEMBERED = 256  # jobs that took a worker along
FORK = b"fork"
FORGET = 600.0  # seconds: what killed a worker may have been something else

log = logging.getLogger("face128")


@dataclass
class RemoteEngine:
    """An engine of the other process: a job that is given it finds the real one there."""

    name: str
    card: ModelCard

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return fork_server.loaded, (self.name,)

    def detect(self, photo: Photo) -> list[Face]:
        raise RuntimeError(ELSEWHERE)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        raise RuntimeError(ELSEWHERE)

    def describe(self, chips: Chips) -> Descriptors:
        raise RuntimeError(ELSEWHERE)


@dataclass
class Worker:
    process_id: int
    connection: Connection
    parent: socket.socket
    """The way to the process that it was forked from, and that alone may bury it."""


class EngineProcesses:
    """The process that has loaded the engines, and a worker forked from it for each thread that calls. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.seconds = settings.photo_seconds
        # Whoever breaks into a decoder finds neither keys nor the database.
        secret = {"api_keys": (), "database_url": None, "milvus_uri": None}
        # Plain values: the other process need not import what makes settings of variables, which takes long.
        self._settings = SimpleNamespace(**(dict(settings) | secret))
        self._beginning: socket.socket | None = None
        """Where the process that has begun will tell its engines."""
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._talking = threading.Lock()
        self._local = threading.local()
        self._deadly: OrderedDict[bytes, float] = OrderedDict()
        self._closed = False

    def begin(self) -> None:
        """Start the process, and return while it loads: a service has much to import meanwhile."""
        with self._talking:
            self._begin()

    def start(self) -> dict[str, Engine | str]:
        """Load the engines; each by its name, or why it could not be loaded. Blocking: some seconds."""
        with self._talking:
            told = self._launch()
        return {name: card if isinstance(card, str) else RemoteEngine(name, card) for name, card in told.items()}

    def call(self, job: Callable[..., T], *args: Any) -> T:
        """Run a job in this thread's worker. Its result and its errors travel back.

        ``job`` is a function of a module or an engine's method. Raises BadImage where the worker dies or takes longer
        than ``photo_seconds``: it is then replaced.
        """
        payload = pickle.dumps((job, args), pickle.HIGHEST_PROTOCOL)
        self._refuse_deadly(payload)
        answer = self._ask_worker(payload) or self._ask_worker(payload)
        if answer is None:
            raise BadImage(CRASHED)
        done, outcome, heard = Answer(io.BytesIO(answer)).load()
        events.repeat(heard)
        if done:
            result: T = outcome
            return result
        if isinstance(outcome, Face128Error):
            raise outcome
        raise WorkerError(f"in a worker process:\n{outcome}")

    def _ask_worker(self, payload: bytes) -> bytes | None:
        """What this thread's worker answers; None where it was killed from outside: for want of memory, say."""
        worker = self._worker()
        try:
            worker.connection.send_bytes(request_id.get().encode())
            worker.connection.send_bytes(payload)
            if worker.connection.poll(self.seconds):
                return worker.connection.recv_bytes()
        except (EOFError, OSError):
            status = self._bury(worker)
            if self._closed:
                raise Overloaded(STOPPING) from None
            log.error("a worker died in the middle of a job: %s", _how(status))
            if status is None or status == -signal.SIGKILL:
                return None
            self._remember(payload)
            raise BadImage(CRASHED) from None
        self._bury(worker)
        self._remember(payload)
        log.error("a job took longer than %g seconds: its worker was ended", self.seconds)
        raise BadImage(f"The image takes longer than {self.seconds:g} seconds.")

    def ensure_worker(self) -> None:
        """Fork this thread's worker, if it has none that lives."""
        self._worker()

    def close(self) -> None:
        """Hang up: every process ends. A job that runs is lost."""
        with self._talking:
            self._closed = True
            self._end()

    def _worker(self) -> Worker:
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is not None and not worker.connection.closed:
            if not worker.connection.poll(0):
                return worker
            log.error("a worker died between two jobs: %s", _how(self._bury(worker)))
        worker = self._local.worker = self._fork()
        return worker

    def _fork(self) -> Worker:
        """A new process. Raises OSError or EOFError where it cannot be had, Overloaded once the service stops."""
        ours, theirs = socket.socketpair()
        with self._talking:
            try:
                process_id = self._ask(FORK, theirs)
            except (OSError, EOFError):
                log.error("the process of the engines has died: it is started again")
                self._launch()
                process_id = self._ask(FORK, theirs)
            parent = self._control
            assert parent is not None  # it has just answered
        theirs.close()
        return Worker(process_id, Connection(ours.detach()), parent)

    def _bury(self, worker: Worker) -> int | None:
        """End a worker; its exit status, if there is anybody to ask."""
        worker.connection.close()
        with self._talking:
            if worker.parent is not self._control:
                return None  # both are gone
            try:
                return self._ask(worker.process_id.to_bytes(8, "little"))
            except (OSError, EOFError):
                return None

    def _ask(self, message: bytes, handed_over: socket.socket | None = None) -> int:
        """A question to the process of the engines; ``_talking`` is held. Raises OSError or EOFError if it is gone."""
        if self._control is None:
            raise EOFError
        socket.send_fds(self._control, [message], [handed_over.fileno()] if handed_over else [])
        answer = self._control.recv(8, socket.MSG_WAITALL)
        if len(answer) < 8:
            raise EOFError
        return int.from_bytes(answer, "little", signed=True)

    def _launch(self) -> dict[str, ModelCard | str]:
        """Start the process of the engines, unless it has begun; ``_talking`` is held. What it says of each engine."""
        if self._beginning is None:
            self._begin()
        ours, self._beginning = self._beginning, None
        assert ours is not None
        try:
            told: dict[str, ModelCard | str] = pickle.loads(receive(ours))  # noqa: S301  (no photo has been there yet)
        except (OSError, EOFError):
            ours.close()
            return dict.fromkeys(self._settings.engines, "The process of the engines died at its start.")
        self._control = ours
        return told

    def _begin(self) -> None:
        if self._closed:
            raise Overloaded(STOPPING)
        self._end()
        self._process, self._beginning = launcher.start()
        with suppress(OSError):  # if it has died: who listens will know
            send(self._beginning, pickle.dumps(self._settings))

    def _end(self) -> None:
        """End the process of the engines, and with it its workers; ``_talking`` is held."""
        for connection in (self._control, self._beginning):
            if connection is not None:
                connection.close()
        self._control = self._beginning = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _refuse_deadly(self, payload: bytes) -> None:
        if self._deadly and time.monotonic() - self._deadly.get(_mark(payload), -FORGET) < FORGET:
            raise BadImage("The image crashed or hung its worker a while ago.")

    def _remember(self, payload: bytes) -> None:
        self._deadly[_mark(payload)] = time.monotonic()
        while len(self._deadly) > REMEMBERED:
            self._deadly.popitem(last=False)


class Answer(pickle.Unpickler):
    """Reads a worker's answer, and nothing that would run code here: a photo has been there."""

    ALLOWED = frozenset(
        {
            ("face128.encoding.encode", "Encoding"),
            ("face128.engines.base", "travelled_face"),
            ("face128.photos.photo", "Photo"),
            ("face128.photos.photo", "left_behind"),
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        error = getattr(errors, name, None) if module == errors.__name__ else None
        if isinstance(error, type) and issubclass(error, Face128Error):
            return error
        raise pickle.UnpicklingError(f"A worker answered with {module}.{name}.")


def _mark(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def _how(status: int | None) -> str:
    if status is None:
        return "nobody knows how"
    if status >= 0:
        return f"exit status {status}"
    return signal.strsignal(-status) or f"signal {-status}"
