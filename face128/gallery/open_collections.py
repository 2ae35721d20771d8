"""The galleries of the collections that are in use, on one database."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery


class OpenCollections:
    """Thread-safe. Above ``limit`` the least recently used one is given up: when it is needed, its index is read again.

    A search that runs in it is not disturbed.
    """

    def __init__(self, opened: Callable[[str], Gallery], limit: int) -> None:
        """``opened`` opens the gallery of a collection."""
        self._opened, self._limit = opened, limit
        self._galleries: OrderedDict[str, Gallery] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Gallery:
        with self._lock:
            if name not in self._galleries:
                self._galleries[name] = self._opened(name)
            self._galleries.move_to_end(name)
            gallery = self._galleries[name]
            given_up = self._galleries.popitem(last=False)[1] if len(self._galleries) > self._limit else None
        if given_up:
            given_up.forget()
        return gallery

    def all(self) -> list[Gallery]:
        with self._lock:
            return list(self._galleries.values())
