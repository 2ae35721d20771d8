"""Spans: what a request spends its time on, told to the tracer of this process.

Without a tracer nothing is kept, and no package is imported. traces/ has the service's tracer, where FACE128_TRACES is
set. A worker process records its spans (``recording``), and the service passes them on (``replay``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock, get_ident
from time import perf_counter
from typing import Any

RecordedSpan = tuple[str, float, float, int]
"""A name, start and end in seconds of ``perf_counter``, which all processes of a machine share, and the place of the
span around it in the list, or -1. Plain values, so that they can be pickled."""

MAX_RECORDED_SPANS = 100
"""Of one job. A photo has fewer than 20."""

_NOTHING = nullcontext()


class Tracer:
    """Receives every span; this base class ignores them. Called from any thread."""

    is_on = False

    def span(self, name: str, **attributes: str | int | float) -> AbstractContextManager[None]:
        """A span around a block, inside the span that is current; nothing outside a request that is traced."""
        return _NOTHING

    def past(self, spans: Sequence[RecordedSpan], **attributes: str | int | float) -> None:
        """Spans that have ended, inside the current one. Each has the attributes."""

    def event(self, name: str, **attributes: str | int | float) -> None:
        """Something that happens during the current span."""

    def note(self, **attributes: str | int | float) -> None:
        """Attributes of the current span."""

    def traceparent(self) -> str:
        """The current span as W3C's header names it; empty unless it is traced."""
        return ""


_tracer = Tracer()


def set_tracer(new: Tracer) -> None:
    global _tracer
    _tracer = new


def tracer() -> Tracer:
    return _tracer


def trace_id_of(traceparent: str) -> str:
    """32 hex digits; empty for an empty one."""
    return traceparent[3:35]  # version-trace-span-flags: https://www.w3.org/TR/trace-context/#traceparent-header


class _Recorder(Tracer):
    """Keeps the spans of the thread that made it, and of its helper (helper_thread.py): those are inside no other."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self._lock = Lock()
        self.spans: list[RecordedSpan] = []
        self._around = -1

    @contextmanager
    def _recorded(self, name: str) -> Iterator[None]:
        own = get_ident() == self._thread
        around = self._around if own else -1
        with self._lock:
            place, start = len(self.spans), perf_counter()
            self.spans.append((name, start, start, around))
        if own:
            self._around = place
        try:
            yield
        finally:
            if own:
                self._around = around
            self.spans[place] = (name, start, perf_counter(), around)

    def span(self, name: str, **_: str | int | float) -> AbstractContextManager[None]:
        # One less than the maximum: two threads may begin a span at the same moment.
        return _NOTHING if len(self.spans) >= MAX_RECORDED_SPANS - 1 else self._recorded(name)


@contextmanager
def recording(traceparent: str) -> Iterator[list[RecordedSpan]]:
    """Record the spans of the block, for another process to ``replay``; none unless ``traceparent`` names a span."""
    if not traceparent:
        yield []
        return
    before, recorder = _tracer, _Recorder()
    set_tracer(recorder)
    try:
        yield recorder.spans
    finally:
        set_tracer(before)


def replay(recorded: Any, names: Collection[str], since: float, **attributes: str | int | float) -> None:
    """Tell the tracer the spans that another process has recorded after ``since``, of ``perf_counter``.

    Anything malformed is ignored: that process may be compromised.
    """
    if not (isinstance(recorded, list) and 0 < len(recorded) <= MAX_RECORDED_SPANS):
        return
    now = perf_counter()
    for place, each in enumerate(recorded):
        match each:
            case (str(name), float(start), float(end), int(around)) if name in names:
                if since <= start <= end <= now and -1 <= around < place:
                    continue
        return
    _tracer.past(recorded, **attributes)
