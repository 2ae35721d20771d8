"""The fork server: loads and warms the engines once, then forks the worker processes (process_pool.py).

A worker shares the memory of the engines until it writes, and starts in milliseconds. The fork server has one thread,
no keys, no database address, and no sockets but the one to the service and the one that the service sends for a worker.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from mmap import mmap

from face128 import events, helper_thread, spans
from face128.domain.model_card import ModelCard
from face128.encoding.self_test import load_engines
from face128.engines.base import Engine
from face128.errors import Face128Error, OutOfMemory
from face128.logs import plain_traceback, request_id, set_up_logging, trace_id
from face128.memory_limit import this_process
from face128.photos.memory import Grant, asking
from face128.process_memory import share_one_heap, trim_heap
from face128.spans import trace_id_of
from face128.workers.messages import receive, send

WORKER_NICE = 5  # of 0 to 19: the event loop of the service comes first, as in thread_pool.py
OUT_OF_MEMORY_SCORE = 500
"""Added to the kernel's score of a worker, 0 to 1000: if memory runs out it ends a worker, and not the service."""
MIN_TRIMMED_BYTES = 256 * 2**20  # of memory that a photo claimed: freed memory then goes back to the system
MIN_TRIMMED_BYTES_IF_SCARCE = 16 * 2**20
MAX_CONTROL_BYTES = 2**16
"""Longest message on the control socket: the settings, or the model cards. Linux sends up to 200 KB."""
FORK = b"fork"
MAX_WORKERS = 512  # at once; FACE128_THREADS is 256 at most
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_engines: dict[str, Engine] = {}
_busy_counts = mmap(-1, MAX_WORKERS)
"""Shared by the workers: how many threads of each work on a photo (helper_thread.py)."""
_places: dict[int, int] = {}
"""By its process id, each worker's place in ``_busy_counts``."""


def loaded_engine(name: str) -> Engine:
    """The engine of this process; a pickled RemoteEngine is unpickled by this call."""
    return _engines[name]


def main(control_fd: int, log_fd: int, preload_dlib: bool) -> None:
    """Load the engines, send their cards, then fork and reap workers on request, until the service hangs up.

    The log goes to ``log_fd``, the service's stderr. What native code writes goes to this process's own stderr, a pipe.
    With ``preload_dlib`` what dlib's engine needs is imported before the settings arrive.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):  # may be sent to the whole group: the service decides
        signal.signal(signal_number, signal.SIG_IGN)
    faulthandler.enable(sys.__stderr__ or 2)
    sys.stderr = open(log_fd, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    import resource  # not on Windows, which imports this module for RemoteEngine

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the photo
    share_one_heap()  # before another thread begins: the heaps that there are stay in use
    if preload_dlib:
        import face128.engines.dlib.engine
        import face128.engines.resnet.network  # noqa: F401
    try:
        _serve(socket.socket(fileno=control_fd))
    except ConnectionError:  # the service has ended
        os._exit(0)


def _serve(control: socket.socket) -> None:
    settings = pickle.loads(_receive(control)[0])  # noqa: S301  (from the service, which started this process)
    set_up_logging(settings.log_level, settings.log_format)
    cards: dict[str, ModelCard | str] = {}
    for name, engine in load_engines(settings, lambda trial: trial()):
        if isinstance(engine, str):
            cards[name] = engine
        else:
            _engines[name] = engine
            cards[name] = engine.card
    control.send(pickle.dumps(cards))
    trim_heap()
    gc.collect()
    gc.freeze()  # a collection writes to what it looks at: the pages would no longer be shared
    while True:
        request, sockets = _receive(control)
        if request == FORK:
            place = next(place for place in range(MAX_WORKERS) if place not in _places.values())
            answer = os.fork()
            if not answer:
                control.close()
                helper_thread.share(_busy_counts, place)
                _work(socket.socket(fileno=sockets[0]))
            _places[answer] = place
            os.close(sockets[0])
        else:
            answer = _reap(int(request))
        control.send(b"%d" % answer)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    message, sockets, _, _ = socket.recv_fds(control, MAX_CONTROL_BYTES, 1)
    if not message:
        raise ConnectionResetError
    return message, sockets


def _reap(worker: int) -> int:
    """End a worker and return its exit status. Negative: the signal that ended it."""
    os.kill(worker, signal.SIGKILL)  # harmless where it has ended: its number stays taken until it is waited for
    status = os.waitpid(worker, 0)[1]
    _busy_counts[_places.pop(worker)] = 0
    return os.waitstatus_to_exitcode(status)


def _work(connection: socket.socket) -> None:
    """Run one job after the other until the service hangs up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a worker that hangs would outlive the service
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OUT_OF_MEMORY_SCORE))
    os.nice(WORKER_NICE)
    min_trimmed_bytes = MIN_TRIMMED_BYTES_IF_SCARCE if this_process().is_scarce else MIN_TRIMMED_BYTES
    claimed_bytes = 0

    def ask(byte_count: int) -> Grant:
        nonlocal claimed_bytes
        claimed_bytes = byte_count
        send(connection, pickle.dumps(byte_count))
        grant: Grant = pickle.loads(receive(connection))  # noqa: S301  (from the service)
        return grant

    asking.set(ask)
    try:
        while True:
            claimed_bytes = 0
            identifier, _, traceparent = receive(connection).decode().partition(" ")
            request_id.set(identifier)
            trace_id.set(trace_id_of(traceparent))
            answer = _run(receive(connection), traceparent)
            if claimed_bytes >= min_trimmed_bytes:
                trim_heap()  # before the answer, which gives the memory to the next photo
            send(connection, answer)
    except OSError:
        os._exit(0)


def _run(pickled_job: bytearray, traceparent: str) -> bytes:
    """A pickle of: whether the job succeeded, its result or error, the events that it reported, and its spans."""
    outcome: tuple[bool, object]
    with events.recording() as recorded, spans.recording(traceparent) as recorded_spans:
        try:
            job, args = pickle.loads(pickled_job)  # noqa: S301  (from the service)
            del pickled_job  # a copy of the photo
            outcome = True, job(*args)
        except Face128Error as error:
            # Its traceback would hold this frame, and this frame the error: the photo would stay until a collection.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            outcome = False, error
        except MemoryError:
            outcome = False, OutOfMemory()
        except Exception as error:  # a bug; its traceback goes into the service's log
            outcome = False, plain_traceback(error)
    return pickle.dumps((*outcome, recorded, recorded_spans), pickle.HIGHEST_PROTOCOL)
