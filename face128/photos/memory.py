"""Asks for memory before a photo is decoded, and refuses a photo for which there is not enough.

Whoever runs photos side by side sets ``asking`` (workers/memory_budget.py): it waits until the photo has room. Without
it, as in a job's process, a photo is refused only when what is free at that moment is not enough for its pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from face128.errors import OutOfMemory, TooLarge
from face128.memory_limit import this_process
from face128.photos.decode_memory import BASE_BYTES

UNKNOWN_MEMORY = 2**62


@dataclass(frozen=True)
class Grant:
    reserved: bool
    """What the photo may need is reserved. If not, it runs alone, and its pixels are compared with what is free."""
    most_free_bytes: int = UNKNOWN_MEMORY
    """The most that was ever free: a photo that needs more is too large, not too early."""


asking: ContextVar[Callable[[int], Grant] | None] = ContextVar("asking", default=None)
_NOTHING_RESERVED = Grant(reserved=False)
_grant: ContextVar[Grant] = ContextVar("grant", default=_NOTHING_RESERVED)


def claim(byte_count: int) -> None:
    """Wait until so many bytes are free, or until no other photo is in work: for all that this photo may need."""
    ask = asking.get()
    _grant.set(_NOTHING_RESERVED if ask is None else ask(byte_count))


def require(byte_count: int, pixel_count: int) -> None:
    """Raise TooLarge or OutOfMemory if this photo's pixels, which need so many bytes, cannot be decoded now."""
    grant = _grant.get()
    if grant.reserved:
        return
    free = this_process().free_bytes(byte_count)
    if free is None or byte_count <= free:
        return
    if byte_count > grant.most_free_bytes:
        bytes_a_pixel = (byte_count - BASE_BYTES) / pixel_count
        max_pixels = max(0, int((grant.most_free_bytes - BASE_BYTES) / bytes_a_pixel))
        raise TooLarge(
            f"The image has {pixel_count} pixels. The memory of the service is enough for {max_pixels} in this format.",
            max_pixels=max_pixels,
        )
    raise OutOfMemory()
