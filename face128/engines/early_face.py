"""How an engine tells that it has found a face before its search for further ones has ended.

Most photos have one face, so its descriptor can be computed beside the rest of the search (encoding/ahead.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from face128.engines.base import Face

listener: ContextVar[Callable[[Face], None] | None] = ContextVar("listener", default=None)
"""Called by ``Engine.detect`` on its own thread, with a face that it will most likely return: the same object then."""
