"""The process that reads the second halves of large bodies of /match: see reader.py.

A text comes in memory that the service shares, and what it says goes behind it.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from face128 import json_tree
from face128.engine_process import READING
from face128.halves import BEGIN, Half, second_half
from face128.memory import give_back_memory, keep_memory

QUESTION = struct.Struct("=QQ")
"""Where the first member of the second half begins, and where the text ends."""
ANSWER = struct.Struct("=QQ")
"""Bytes of the rows, and of a pickle of all else; 0 and 0 where there is any doubt."""
IDLE = 5.0  # seconds until the memory is given back in which the next half would be read


class _Mapped:
    """The memory that was shared last: mapping it anew for each body costs a page fault for every 4 KiB."""

    def __init__(self) -> None:
        self._file: int | None = None  # its inode
        self.shared = memoryview(b"")
        self._own = mmap.mmap(-1, 1)

    def map(self, descriptor: int) -> None:
        file = os.fstat(descriptor).st_ino
        if file != self._file:
            self.shared = memoryview(mmap.mmap(descriptor, 0))
            self._own = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
            self._file = file
        os.close(descriptor)

    def second_half(self, member: int, length: int) -> Half | None:
        """What is written into the text to read it is seen by nobody else."""
        try:
            return second_half(memoryview(self._own)[:length], member)
        finally:
            start = (member - len(BEGIN)) // mmap.PAGESIZE * mmap.PAGESIZE
            self._own.madvise(mmap.MADV_DONTNEED, start, member + 1 - start)


def space(memory: memoryview, length: int, row_bytes: int, rest_bytes: int) -> tuple[memoryview, memoryview]:
    """Where the rows and all else are, behind a text of this length; shorter than that where there is no room."""
    start = -(-length // 8) * 8
    end = start + row_bytes
    return memory[start:end], memory[end : end + rest_bytes]


def main(connection: Connection) -> None:
    """Read one half after the other until the service hangs up."""
    keep_memory()
    mapped = _Mapped()
    connection.send_bytes(READING)
    while True:
        if not connection.poll(IDLE):
            mapped = _Mapped()
            json_tree.forget()
            give_back_memory()
        try:
            mapped.map(recv_handle(connection))
            member, length = QUESTION.unpack(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
        connection.send_bytes(ANSWER.pack(*_answer(mapped, member, length)))


def _answer(mapped: _Mapped, member: int, length: int) -> tuple[int, int]:
    half = mapped.second_half(member, length)
    if half is None:
        return 0, 0
    rows = b"".join(half.rows)
    told = {name: value for name, value in vars(half).items() if name != "rows"}
    rest = pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
    for place, data in zip(space(mapped.shared, length, len(rows), len(rest)), (rows, rest), strict=True):
        if len(place) < len(data):
            return 0, 0
        place[:] = data
    return len(rows), len(rest)
