"""How a large body comes straight from the connection (server.py) into the memory where it is wanted (uploads.py).

Through ASGI's messages each byte is copied four times, and the event loop turns for every 64 KiB. Under another server
there is no such way, and the messages serve.
"""

from __future__ import annotations

from starlette.types import Scope

BEGIN = "begin_straight"
"""In the state of a request's scope: a function from a bytearray to a Straight, where the server knows the way."""
WAY = "straight"
"""There too: the Straight, once it has begun."""


class Straight:
    """Overwrites ``buffer`` with the body, as it comes; ``receive`` tells its end, or that the client has left."""

    def __init__(self, buffer: bytearray | memoryview) -> None:
        self.received = 0
        self._buffer = buffer

    def take(self, chunk: bytes | bytearray) -> None:
        end = self.received + len(chunk)
        self._buffer[self.received : end] = chunk
        self.received = end


def begin(scope: Scope, buffer: bytearray | memoryview) -> Straight | None:
    """Take this way for the body of the request, of which nothing has been received yet. None where there is none."""
    way = scope["state"].get(BEGIN)
    straight: Straight | None = way and way(buffer)
    return straight
