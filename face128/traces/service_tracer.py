"""The tracer of the service: OpenTelemetry spans, sent in the background.

A span has the attributes that are written here and in the places that call spans.py, and no others: nothing of a
request but its method, its route and its id. OpenTelemetry's and FastAPI's own spans of requests have the path and the
query, which name people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from face128.errors import Face128Error
from face128.logs import trace_id
from face128.spans import RecordedSpan, Tracer

NS_PER_S = 1_000_000_000
_NOTHING = nullcontext()
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass
class TracedRequest:
    """What is known of a request at its end."""

    route: str | None = None
    status: int = 0
    request_id: str | None = None


class ServiceTracer(Tracer):
    is_on = True

    def __init__(self, provider: trace.TracerProvider, version: str) -> None:
        self._tracer = provider.get_tracer("face128", version)

    @contextmanager
    def request(self, method: str, scheme: str, traceparent: str | None) -> Iterator[TracedRequest]:
        """The span of a request; inside the caller's, where their header names it. The block fills what it yields.

        ``tracestate`` and ``baggage`` are not read: they are the caller's text, and OpenTelemetry logs it if it is
        damaged.
        """
        attributes = {"http.request.method": method, "url.scheme": scheme}
        name = "HTTP" if method == "_OTHER" else method
        around = _PROPAGATOR.extract({} if traceparent is None else {"traceparent": traceparent})
        span = self._tracer.start_span(name, around, SpanKind.SERVER, attributes)
        request = TracedRequest()
        logged = trace_id.set(trace.format_trace_id(span.get_span_context().trace_id) if span.is_recording() else "")
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield request
        finally:
            trace_id.reset(logged)
            if request.route:
                span.update_name(f"{name} {request.route}")
                span.set_attribute("http.route", request.route)
            if request.request_id:
                span.set_attribute("face128.request_id", request.request_id)
            span.set_attribute("http.response.status_code", request.status)
            if request.status >= 500:
                span.set_attribute("error.type", str(request.status))
                span.set_status(StatusCode.ERROR)
            span.end()

    def span(self, name: str, **attributes: str | int | float) -> AbstractContextManager[None]:
        return self._span(name, attributes) if trace.get_current_span().is_recording() else _NOTHING

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, str | int | float]) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:  # its message may quote what was sent
                code, status = (
                    (error.code, error.status) if isinstance(error, Face128Error) else (type(error).__qualname__, 500)
                )
                span.set_attribute("error.type", code)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)
                raise

    def past(self, spans: Sequence[RecordedSpan], **attributes: str | int | float) -> None:
        if not trace.get_current_span().is_recording():
            return
        zero_ns = time.time_ns() - round(time.perf_counter() * NS_PER_S)
        kind = SpanKind.CLIENT if "db.system.name" in attributes else SpanKind.INTERNAL
        made: list[trace.Span] = []
        for name, start, end, around in spans:
            inside = None if around < 0 else trace.set_span_in_context(made[around])
            start_ns, end_ns = (zero_ns + round(moment * NS_PER_S) for moment in (start, end))
            span = self._tracer.start_span(name, inside, kind, attributes, start_time=start_ns)
            span.end(end_ns)
            made.append(span)

    def event(self, name: str, **attributes: str | int | float) -> None:
        trace.get_current_span().add_event(name, attributes)

    def note(self, **attributes: str | int | float) -> None:
        trace.get_current_span().set_attributes(attributes)

    def traceparent(self) -> str:
        span = trace.get_current_span()
        if not span.is_recording():
            return ""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent", "")
