"""Has the second half of a large body of /match read in another process, while this one reads the first: see halves.py.

The reader is forked from the process of the engines as a photo's worker is, but never sees a photo. It is begun by the
first body that is worth it. Without it, while it has another body to read, and where it dies or hangs, a body is read
in one piece, here.
"""

from __future__ import annotations

import io
import logging
import threading
from multiprocessing.reduction import send_handle

from face128 import halves
from face128.bodies import SharedMemory
from face128.engine_process import READING
from face128.enrolled import MatchRequest
from face128.errors import Face128Error
from face128.halves import Half
from face128.processes import Answer, EngineProcesses, Worker, how
from face128.reader_process import ANSWER, QUESTION, space
from face128.rules import Rule

LARGE = 2**20  # bytes of a body that is worth it
PATIENCE = 1.0  # seconds for half a body: one of 64 MiB takes a seventh of that
BEGINNING = 10.0  # seconds until a new reader must have imported what it needs

log = logging.getLogger("face128")


class Reader:
    """The process that reads one half. Thread-safe."""

    def __init__(self, processes: EngineProcesses) -> None:
        self._processes = processes
        self._worker: Worker | None = None
        self._turn = threading.Lock()
        """Held while the reader has a body, and while it begins."""

    def read(self, memory: SharedMemory, length: int, *, max_members: int, rule: Rule) -> MatchRequest | None:
        """What the body in ``memory`` asks for; None where it is to be read in one piece."""
        text = memory.body(length)
        place = halves.place_to_cut(text)
        if place is None or not self._turn.acquire(blocking=False):
            return None
        if self._worker is None:
            try:
                threading.Thread(
                    target=self._begin, daemon=True, name="begin the reader"
                ).start()  # it has the turn now
            except RuntimeError:  # the system has no thread left
                self._turn.release()
            return None
        try:
            first, second = self._both(self._worker, memory, text, *place)
            return halves.joined(first, second, max_members, rule) if first and second else None
        finally:
            self._turn.release()

    def _both(
        self, worker: Worker, memory: SharedMemory, text: memoryview, comma: int, member: int
    ) -> tuple[Half | None, ...]:
        connection = worker.connection
        try:
            send_handle(connection, memory.file.fileno(), None)
            connection.send_bytes(QUESTION.pack(member, len(text)))
            first = halves.first_half(text, comma)
            if not connection.poll(PATIENCE):
                raise TimeoutError(f"it took longer than {PATIENCE:g} seconds")
            sizes = ANSWER.unpack(connection.recv_bytes())
        except BaseException as error:
            # Its answer must never be taken for that to another question.
            self._worker = None
            status = self._processes.bury(worker)
            if not isinstance(error, (OSError, EOFError)):
                raise
            log.error("the reader of large bodies was lost: %s", error if str(error) else how(status))
            return None, None
        return first, _second(memory, len(text), *sizes)

    def _begin(self) -> None:
        try:
            worker = self._processes.fork(READING)
            if worker.connection.poll(BEGINNING) and worker.connection.recv_bytes() == READING:
                self._worker = worker
            else:
                self._processes.bury(worker)
        except (OSError, EOFError, Face128Error) as error:
            log.error("the reader of large bodies did not begin: %s", error)
        finally:
            self._turn.release()


def _second(memory: SharedMemory, length: int, row_bytes: int, rest_bytes: int) -> Half | None:
    """What the reader has left behind the text."""
    rows, rest = space(memory.all, length, row_bytes, rest_bytes)
    told = rest_bytes and Answer(io.BytesIO(rest)).load()
    return Half(rows=[rows], **told) if told else None
