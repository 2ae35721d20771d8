"""The operator's rules: whether consent is needed, and how long people are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from face128.domain.terms import utc_now
from face128.settings import Settings


@dataclass(frozen=True)
class Retention:
    require_consent: bool = False
    days: int = 0
    """After a person's newest photo was enrolled; 0: for ever."""
    inactive_days: int = 0
    """After a person was last seen, or their newest photo was enrolled if that is later; 0: for ever."""
    decision_days: int = 0
    """How long decisions are kept; 0: none are made to be kept, and those of other services as long as these said."""
    thumbnail_hours: int = 0
    """How long a small picture of an enrolled photo is kept; 0: none is."""
    now: Callable[[], datetime] = utc_now

    @classmethod
    def from_settings(cls, settings: Settings) -> Retention:
        days = settings.retention_days, settings.inactive_days, settings.decision_log_days
        return cls(settings.require_consent, *days, settings.thumbnails_hours)


KEPT_FOR_EVER = Retention()
