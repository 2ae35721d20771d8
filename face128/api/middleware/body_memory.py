"""Bounds the memory that the bodies of all requests take together."""

from __future__ import annotations

from face128.errors import Overloaded

UNCOUNTED_BYTES = 64 * 1024  # smaller bodies are bounded by the number of connections


class BodyMemory:
    """The bytes that are still free for bodies."""

    def __init__(self, total_bytes: int) -> None:
        self.free_bytes = total_bytes

    def reservation(self) -> BodyReservation:
        return BodyReservation(self)


class BodyReservation:
    """What one request has taken. It needs no lock: it is used on the event loop alone."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._taken_bytes = 0

    def grow(self, size: int) -> None:
        """Reserve memory for a body of ``size`` bytes in all. Raises Overloaded if there is not enough."""
        more = size - self._taken_bytes
        if size <= UNCOUNTED_BYTES or more <= 0:
            return
        if more > self._memory.free_bytes:
            raise Overloaded("The service holds as many large requests as it may. Try again shortly.")
        self._memory.free_bytes -= more
        self._taken_bytes = size

    def release(self) -> None:
        self._memory.free_bytes += self._taken_bytes
        self._taken_bytes = 0
