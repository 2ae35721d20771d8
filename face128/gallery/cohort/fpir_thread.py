"""Keeps the expected FPIR of each open collection up to date, in a thread of each running service."""

from __future__ import annotations

from collections.abc import Callable

from face128.events import listener
from face128.gallery.background import BackgroundJob
from face128.gallery.cohort.expected_fpir import FpirWatch

INTERVAL_S = 30.0


class FpirThread(BackgroundJob):
    """``watches`` gives those of the collections that are open now. The metrics get the greatest share of all."""

    def __init__(self, watches: Callable[[], list[FpirWatch]]) -> None:
        super().__init__("the expected FPIR", self._refresh, INTERVAL_S)
        self._watches = watches

    def _refresh(self) -> None:
        watches = self._watches()
        for watch in watches:
            watch.refresh(self.stopped)
        known = [(watch.share, watch.rule_name) for watch in watches if watch.share is not None]
        if known:
            share, rule = max(known)
            listener().expected_fpir(rule, share)
