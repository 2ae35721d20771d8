"""The process in which photos are decoded and faces described, apart from the service: see processes.py.

It loads and warms the engines once, and is then forked for every worker: a worker shares its memory until it writes,
and begins in milliseconds. It has one thread, no keys, no database, and nothing of the network but the two sockets that
it is given.
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
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from face128 import events
from face128.domain.model_card import ModelCard
from face128.encoding.self_test import load_all
from face128.engines.base import Engine
from face128.errors import Face128Error
from face128.logs import plain_traceback, request_id, set_up_logging
from face128.process_memory import give_back_memory

if TYPE_CHECKING:
    from face128.settings import Settings

BEHIND = 5  # of 19, as workers.BEHIND: the event loop comes first
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_engines: dict[str, Engine] = {}


def loaded(name: str) -> Engine:
    """The engine of this process that a worker's job means."""
    return _engines[name]


def main(descriptor: int, dlib: bool = False) -> None:
    """Load the engines, tell their cards, then fork and bury workers as the service asks, until it hangs up.

    With ``dlib`` what its engine needs is imported while the settings are on their way.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):  # they may come to the whole group: the service decides
        signal.signal(signal_number, signal.SIG_IGN)
    faulthandler.enable()
    import resource  # Linux only, as this process is

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the photo
    control = socket.socket(fileno=descriptor)
    if dlib:
        import face128.engines.dlib.engine
        import face128.engines.dlib.network  # noqa: F401
    try:
        settings: Settings = pickle.loads(receive(control))  # noqa: S301  (from the service, which started this process)
    except EOFError:
        os._exit(0)
    set_up_logging(settings.log_level, settings.log_format)
    told: dict[str, ModelCard | str] = {}
    for name, engine in load_all(settings, lambda trial: trial()):
        if isinstance(engine, str):
            told[name] = engine
        else:
            _engines[name] = engine
            told[name] = engine.card
    send(control, pickle.dumps(told))
    give_back_memory()
    gc.collect()
    gc.freeze()  # what is collected is written to, and then no longer shared
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 8, 1)
        if not message:
            os._exit(0)
        if descriptors:
            worker = os.fork()
            if not worker:
                control.close()
                _work(Connection(descriptors[0]))
            os.close(descriptors[0])
            control.sendall(worker.to_bytes(8, "little"))
        else:
            control.sendall(_bury(int.from_bytes(message, "little")).to_bytes(8, "little", signed=True))


def _bury(worker: int) -> int:
    """End a worker for good. Its exit status; negative: the signal that it died of."""
    os.kill(worker, signal.SIGKILL)  # harmless where it has ended: until it is waited for, nobody gets its number
    return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])


def _work(connection: Connection) -> None:
    """Do one job after the other until the service hangs up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a worker that hangs would outlive the service
    os.nice(BEHIND)
    while True:
        try:
            request_id.set(connection.recv_bytes().decode())
            question = connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)
        connection.send_bytes(_answer(question))


def _answer(question: bytes) -> bytes:
    outcome: tuple[bool, object]
    with events.listening() as heard:
        try:
            job, args = pickle.loads(question)  # noqa: S301  (from the service)
            outcome = True, job(*args)
        except Face128Error as error:
            outcome = False, error
        except Exception as error:  # a bug; its traceback goes into the service's log
            outcome = False, plain_traceback(error)
    return pickle.dumps((*outcome, heard), pickle.HIGHEST_PROTOCOL)


def send(control: socket.socket, message: bytes) -> None:
    control.sendall(len(message).to_bytes(8, "little") + message)


def receive(control: socket.socket) -> bytes:
    """A message of ``send``. Raises EOFError where the other side has hung up."""
    return _exactly(control, int.from_bytes(_exactly(control, 8), "little"))


def _exactly(control: socket.socket, count: int) -> bytes:
    message = b""
    while len(message) < count:
        part = control.recv(count - len(message))
        if not part:
            raise EOFError
        message += part
    return message
