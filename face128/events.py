"""Where the work can be watched from: how long each stage takes, how many faces there are,
how many jobs wait, which lists came before.

The core tells; who listens (api/metrics.py) is none of its business. Without a listener nothing is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from face128.domain.model_card import ModelCard

Stage = Literal["decode", "detect", "crop", "describe", "search"]
STAGES: tuple[Stage, ...] = get_args(Stage)

Heard = list[tuple[str, float]]
"""What was told: a stage and its seconds, or "faces" and their number. Plain, so that it can travel."""


class Watcher:
    """Hears everything and keeps nothing. Whoever wants to know overrides; calls come from any thread."""

    def stage(self, stage: Stage, seconds: float) -> None: ...

    def faces(self, count: int) -> None:
        """So many faces were found in a photo."""

    def queue(self, pool: str, jobs: int) -> None:
        """So many jobs of this pool run or wait now."""

    def listed(self, known: bool) -> None:
        """A long list came to /match, the same as one that is kept or a new one."""

    def loaded(self, engine: str, card: ModelCard) -> None:
        """An engine is ready."""


class _Here(threading.local):
    inside: float = 0.0
    """Seconds in stages that have ended inside the one that is running."""
    photo: dict[str, float] | None = None
    heard: Heard | None = None


_here = _Here()
_watcher = Watcher()


def watch(watcher: Watcher) -> None:
    """From now on this one hears everything in this process; the one before it nothing."""
    global _watcher
    _watcher = watcher


def watcher() -> Watcher:
    return _watcher


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Time a block, without the stages inside it: a detector has its pixels decoded when it asks for them."""
    outside, _here.inside = _here.inside, 0.0
    start = perf_counter()
    try:
        yield
    finally:
        took = perf_counter() - start
        own = took - _here.inside
        _here.inside = outside + took
        if _here.photo is None:
            _tell(name, own)
        else:
            _here.photo[name] = _here.photo.get(name, 0.0) + own


@contextmanager
def one_photo() -> Iterator[None]:
    """All in this block is work on one photo: a stage that it passes twice is told once, with both times."""
    if _here.photo is not None:  # a part of more work on it
        yield
        return
    times = _here.photo = {}
    try:
        yield
    finally:
        _here.photo = None
        for name, seconds in times.items():
            _tell(name, seconds)


def faces(count: int) -> None:
    """Tell how many faces were found in a photo."""
    _tell("faces", count)


@contextmanager
def listening() -> Iterator[Heard]:
    """Keep what this thread tells, for another process to ``repeat``."""
    before, _here.heard = _here.heard, []
    try:
        yield _here.heard
    finally:
        _here.heard = before


def repeat(heard: Any) -> None:
    """Tell what was heard elsewhere. Whatever else it is, nobody hears: it may come from a process that was broken."""
    for event in heard if isinstance(heard, list) else ():
        match event:
            case (str(name), float() | int() as value) if name == "faces" or name in STAGES:
                _tell(name, value)


def _tell(name: str, value: float) -> None:
    if _here.heard is not None:
        _here.heard.append((name, value))
    elif name == "faces":
        _watcher.faces(int(value))
    else:
        _watcher.stage(name, value)  # type: ignore[arg-type]
