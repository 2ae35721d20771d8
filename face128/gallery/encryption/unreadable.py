"""The rows that cannot be opened, as far as this process has met them: they are left out everywhere, and counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from face128.events import listener

log = logging.getLogger("face128")


class Unreadable:
    """Thread-safe. Rows are known by their ids, which are never used again."""

    def __init__(self) -> None:
        self.erased: frozenset[int] = frozenset()
        """Of people whose keys were destroyed: a backup has brought their rows back."""
        self.damaged: frozenset[int] = frozenset()
        """Whose bits were changed."""
        self._lock = threading.Lock()

    @property
    def ids(self) -> frozenset[int]:
        return self.erased | self.damaged

    def note_erased(self, ids: Iterable[int]) -> None:
        with self._lock:
            new = frozenset(ids) - self.erased
            self.erased |= new
        if new:
            listener().unreadable_faces("erased", len(self.erased))
            log.warning("the gallery: %d rows of erased people are left out: their keys were destroyed", len(new))

    def note_opened(self, ids: Iterable[int]) -> None:
        """Of rows that were sealed by a new key, just when they were to be opened by the old one."""
        if self.erased:  # hardly ever
            with self._lock:
                before, self.erased = self.erased, self.erased.difference(ids)
            if before != self.erased:
                listener().unreadable_faces("erased", len(self.erased))

    def note_damaged(self, face_id: int) -> None:
        with self._lock:
            known = face_id in self.damaged
            self.damaged |= {face_id}
        if not known:
            listener().unreadable_faces("damaged", len(self.damaged))
            log.error("the gallery: the row of the face %d was changed or is damaged: it is left out", face_id)
