"""How a large body comes straight from the connection (server.py) into the memory where it is wanted (uploads.py).

Through ASGI's messages each byte is copied five times, and the event loop turns for every 64 KiB; on this way the
system itself writes it where it belongs. Under another server there is no such way, and the messages serve.
"""

from __future__ import annotations

from starlette.types import Scope

BEGIN = "begin_straight"
"""In the state of a request's scope: a function from a memoryview to a Straight, where the server knows the way."""


class Straight:
    """Fills ``memory``, which is as long as the body; ``receive`` tells its end, or that the client has left."""

    def __init__(self, memory: memoryview, begun: bytes | bytearray) -> None:
        """``begun`` is what has come already."""
        self._memory = memory
        self.received = len(begun)
        memory[: self.received] = begun

    def rest(self) -> memoryview:
        """Where the next bytes go; empty at the end."""
        return self._memory[self.received :]

    def end(self) -> None:
        """All of it has been received: let go of the memory."""
        self._memory.release()


def begin(scope: Scope, memory: bytearray | memoryview, length: int) -> Straight | None:
    """Take this way for the body of the request, of which nothing has been received yet. None where there is none.

    The body fills the first ``length`` bytes of ``memory``; a bytearray grows to that.
    """
    way = scope["state"].get(BEGIN)
    if way is None:
        return None
    if isinstance(memory, bytearray):
        memory.extend(bytes(max(0, length - len(memory))))
    straight: Straight | None = way(memoryview(memory)[:length])
    return straight
