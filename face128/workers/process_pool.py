"""Runs the engines' work in worker processes, and replaces one that dies or hangs.

dlib, ONNX Runtime and the decoders behind Pillow are native code: a crash or an endless loop there cannot be caught in
its own process. Each thread of the pool (thread_pool.py) has a worker process, forked in milliseconds from the fork
server, which has loaded the engines. A photo that crashes or stalls its worker costs its own request alone: it is
answered as a bad image, so that the client does not try again, and is refused unseen for DEADLY_JOB_TTL_S. A worker
that ends by SIGKILL was killed from outside, by the kernel if memory ran out: its photo is tried once more, and is then
answered as overloaded.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from face128 import errors, events, spans
from face128.domain.adjustments import Adjustments
from face128.domain.model_card import ModelCard
from face128.encoding.encode import Encoding
from face128.encoding.look import LookedAt
from face128.encoding.quality import Quality
from face128.encoding.quality_measures import Measures
from face128.engines.base import Engine, Face
from face128.errors import STOPPING, BadImage, Face128Error, OutOfMemory, Overloaded
from face128.logs import WorkerError, request_id
from face128.photos.memory import Grant
from face128.photos.photo import Photo, pixels_unavailable
from face128.settings import Settings
from face128.workers.fork_server import loaded_engine
from face128.workers.fork_server_client import ForkServerClient, WorkerProcess
from face128.workers.memory_budget import Claim, MemoryBudget
from face128.workers.messages import is_idle, receive, send

T = TypeVar("T")

CRASHED_SENTENCE = "The image crashed its decoder or its detector."
MAX_DEADLY_JOBS = 256
DEADLY_JOB_TTL_S = 600.0
"""After this long a job that ended its worker may run again: it may have been something else that ended it."""

log = logging.getLogger("face128")


@dataclass
class RemoteEngine:
    """Stands for an engine of the worker processes: an argument of a job that becomes the real engine there."""

    name: str
    card: ModelCard

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return loaded_engine, (self.name,)

    def _only_in_workers(self, *_: Any) -> Any:
        raise RuntimeError("This engine is loaded in the worker processes: pass it to a job.")

    search_bytes = detect = crop = describe = _only_in_workers


class ProcessPool:
    """A worker process for each thread that calls. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._photo_seconds = settings.photo_seconds
        self._fork_server = ForkServerClient(settings)
        self._budget = MemoryBudget()
        self._thread = threading.local()
        self._deadly_jobs: OrderedDict[bytes, float] = OrderedDict()
        """By the hash of a job that ended its worker: when that was."""

    def start_loading(self) -> None:
        """Start to load the engines, and return: a service has much to import meanwhile."""
        self._fork_server.start()

    def load(self) -> dict[str, Engine | str]:
        """Each engine by its name, or why it could not be loaded. Blocking: some seconds."""
        cards = self._fork_server.load()
        return {name: card if isinstance(card, str) else RemoteEngine(name, card) for name, card in cards.items()}

    def call(self, job: Callable[..., T], *args: Any) -> T:
        """Run a job in this thread's worker; its result, its errors and its events are passed on.

        ``job`` is a function of a module or an engine's method. Raises BadImage if the worker crashes or takes longer
        than ``photo_seconds``, which ends it, OutOfMemory if the kernel kills it, and NotReady if no worker can be
        started.
        """
        pickled_job = pickle.dumps((job, args), pickle.HIGHEST_PROTOCOL)
        self._refuse_deadly(pickled_job)
        since = time.perf_counter()
        answer = self._run(pickled_job) or self._run(pickled_job)
        if answer is None:
            raise OutOfMemory()
        succeeded, outcome, recorded, recorded_spans = answer
        events.replay(recorded)
        spans.replay(recorded_spans, events.STAGES, since, **{"process.pid": self._thread.worker.process_id})
        if succeeded:
            result: T = outcome
            return result
        if isinstance(outcome, Face128Error):
            raise outcome
        raise WorkerError(f"in a worker process:\n{outcome}")

    def close(self) -> None:
        """End every process. A job that runs is lost."""
        self._fork_server.close()

    def _run(self, pickled_job: bytes) -> Any:
        """The worker's answer; None where it was killed from outside: most likely by the kernel, to free memory."""
        worker = self.ensure_worker()
        try:
            with Claim(self._budget) as claim:
                deadline = time.monotonic() + self._photo_seconds
                request = f"{request_id.get()} {spans.tracer().traceparent()}"
                send(worker.connection, request.encode(), deadline)
                send(worker.connection, pickled_job, deadline)
                while isinstance(answer := _unpickle(receive(worker.connection, deadline)), int):
                    asked_at = time.monotonic()
                    grant = self._grant(worker, claim, answer)
                    deadline += time.monotonic() - asked_at
                    send(worker.connection, pickle.dumps(grant), deadline)
                return answer
        except TimeoutError:
            self._reap(worker)
            self._remember_deadly(pickled_job)
            spans.tracer().event("worker_ended", reason="timeout")
            log.error("a job took longer than %g seconds: its worker was ended", self._photo_seconds)
            raise BadImage(f"The image takes longer than {self._photo_seconds:g} seconds.") from None
        except OSError:
            status = self._reap(worker)
            if self._fork_server.closed:
                raise Overloaded(STOPPING) from None
            last_lines = worker.native_output.take_last_lines()
            spans.tracer().event("worker_ended", reason=_exit_reason(status))
            log.error("a worker died in the middle of a job: %s%s", _exit_reason(status), last_lines)
            if status is None or status == -signal.SIGKILL:
                return None
            self._remember_deadly(pickled_job)
            raise BadImage(CRASHED_SENTENCE) from None

    def _grant(self, worker: WorkerProcess, claim: Claim, byte_count: int) -> Grant:
        """Wait for the memory that a worker asks for."""
        try:
            return claim.take(byte_count)
        except OutOfMemory:
            self._reap(worker)  # it waits for a grant
            raise

    def ensure_worker(self) -> WorkerProcess:
        """The worker of this thread; a new one if it has none, or if it has died since its last job."""
        worker: WorkerProcess | None = getattr(self._thread, "worker", None)
        if worker is not None and not is_idle(worker.connection):
            log.error("a worker died between two jobs: %s", _exit_reason(self._reap(worker)))
            worker = None
        if worker is None:
            worker = self._thread.worker = self._fork_server.fork()
        return worker

    def _reap(self, worker: WorkerProcess) -> int | None:
        self._thread.worker = None
        return self._fork_server.reap(worker)

    def _refuse_deadly(self, pickled_job: bytes) -> None:
        if not self._deadly_jobs:  # spare the hash
            return
        ended_worker_at = self._deadly_jobs.get(_hash(pickled_job))
        if ended_worker_at is not None and time.monotonic() - ended_worker_at < DEADLY_JOB_TTL_S:
            raise BadImage("The image crashed or hung its worker a while ago.")

    def _remember_deadly(self, pickled_job: bytes) -> None:
        self._deadly_jobs[_hash(pickled_job)] = time.monotonic()
        while len(self._deadly_jobs) > MAX_DEADLY_JOBS:
            self._deadly_jobs.popitem(last=False)


ANSWER_TYPES = (Adjustments, Encoding, Face, LookedAt, Measures, Photo, Quality, pixels_unavailable)


class AnswerUnpickler(pickle.Unpickler):
    """Unpickles only the types of an answer: a photo may have taken over the worker, and must not run code here."""

    ALLOWED: ClassVar = {
        *((each.__module__, each.__name__) for each in ANSWER_TYPES),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        error = getattr(errors, name, None) if module == errors.__name__ else None
        if isinstance(error, type) and issubclass(error, Face128Error):
            return error
        raise pickle.UnpicklingError(f"A worker answered with {module}.{name}.")


def _unpickle(answer: bytearray) -> Any:
    return AnswerUnpickler(io.BytesIO(answer)).load()


def _hash(pickled_job: bytes) -> bytes:
    return hashlib.sha256(pickled_job).digest()


def _exit_reason(status: int | None) -> str:
    if status is None:
        return "its exit status is unknown"
    return f"exit status {status}" if status >= 0 else signal.strsignal(-status) or f"signal {-status}"
