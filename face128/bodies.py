"""Memory for the bodies of /match, used again: fresh memory for 27 MB costs more than filling it."""

from __future__ import annotations

import mmap
import os
import sys
from collections import deque

KEPT = 2  # of each kind: no more large lists are decided at once (service.py)


class PlainMemory:
    """Memory that grows with the body."""

    def __init__(self) -> None:
        self.room = bytearray()

    def body(self, length: int) -> bytearray:
        del self.room[length:]
        return self.room

    def taken(self, length: int) -> int:
        """Bytes of memory, with a body of so many."""
        return sys.getsizeof(self.body(length))  # up to twice the body, where a larger one was here before


class SharedMemory:
    """A file without a name that is mapped here, and by whoever is handed it: a body, and room for what it means.

    Memory is taken as it is written to, and is free when the last who has it is gone.
    """

    def __init__(self, most: int) -> None:
        """For bodies of up to ``most`` bytes."""
        self.file = open(os.memfd_create("face128-body"), "r+b", buffering=0)  # noqa: SIM115  (closed with the object)
        os.ftruncate(self.file.fileno(), 2 * most)
        self._mapping = mmap.mmap(self.file.fileno(), 2 * most)
        self.all = memoryview(self._mapping)
        self.room = self.all[:most]

    def body(self, length: int) -> memoryview:
        return self.room[:length]

    def trim(self, length: int) -> None:
        """Give back what lies beyond so many bytes and as many again: a larger body may have been here before."""
        start = -(-2 * length // mmap.PAGESIZE) * mmap.PAGESIZE
        if start < len(self._mapping):
            self._mapping.madvise(mmap.MADV_REMOVE, start, len(self._mapping) - start)

    def taken(self, length: int) -> int:
        """Bytes of memory, with a body of so many: no more than two of them once it is trimmed."""
        self.trim(length)
        return os.fstat(self.file.fileno()).st_blocks * 512  # stat(2): whatever the file system's own blocks are


Memory = PlainMemory | SharedMemory


class Bodies:
    """Lends memory for a body, and keeps what has come back for the next. For one thread alone: the event loop's."""

    def __init__(self, most: int, shared_from: int | None) -> None:
        """Bodies of up to ``most`` bytes; those announced with ``shared_from`` or more go into shared memory."""
        self._most = most
        self._shared_from = shared_from
        self._plain: deque[PlainMemory] = deque(maxlen=KEPT)
        self._shared: deque[SharedMemory] = deque(maxlen=KEPT)

    def lend(self, announced: int) -> Memory:
        if self._shared_from is None or not self._shared_from <= announced <= self._most:
            return self._plain.pop() if self._plain else PlainMemory()
        try:
            return self._shared.pop() if self._shared else SharedMemory(self._most)
        except OSError:  # no file or no memory is to be had
            return PlainMemory()

    def take_back(self, memory: Memory, length: int) -> None:
        """Nothing points into ``memory`` any more, where a body of so many bytes was."""
        if isinstance(memory, PlainMemory):
            self._plain.append(memory)
        else:
            memory.trim(length)
            self._shared.append(memory)
