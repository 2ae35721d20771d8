"""The tracer alone, with OpenTelemetry's exporter for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter, time_ns

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from face128.errors import BadImage, Overloaded
from face128.spans import Tracer
from face128.traces.service_tracer import ServiceTracer

Traced = tuple[ServiceTracer, InMemorySpanExporter]


@pytest.fixture
def traced() -> Iterator[Traced]:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield ServiceTracer(provider, "1"), exporter
    provider.shutdown()


def use_all(tracer: Tracer) -> None:
    now = perf_counter()
    with tracer.span("search", **{"face128.queue_seconds": 0.5}):
        tracer.past([("decode", now, now, -1)])
        tracer.event("worker_ended", reason="timeout")
        tracer.note(**{"face128.error_code": "no_face"})


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def test_what_belongs_to_no_request_makes_no_span(traced: Traced) -> None:
    tracer, exporter = traced
    use_all(tracer)
    with tracer.request("POST", "http", None):
        pass
    use_all(tracer)
    assert tracer.traceparent() == ""
    assert names(exporter) == ["POST"]


def test_every_call_is_of_the_current_span(traced: Traced) -> None:
    tracer, exporter = traced
    with tracer.request("POST", "http", None):
        outer = tracer.traceparent()
        use_all(tracer)
        assert tracer.traceparent() == outer
    decode, search, request = exporter.get_finished_spans()
    assert (decode.name, search.name, request.name) == ("decode", "search", "POST")
    assert (decode.parent.span_id, search.parent.span_id) == (search.context.span_id, request.context.span_id)
    assert (
        outer == f"00-{request.context.trace_id:032x}-{request.context.span_id:016x}-{request.context.trace_flags:02x}"
    )
    assert search.attributes == {"face128.queue_seconds": 0.5, "face128.error_code": "no_face"}
    assert [(event.name, event.attributes) for event in search.events] == [("worker_ended", {"reason": "timeout"})]


def test_past_spans_have_their_times_and_places(traced: Traced) -> None:
    tracer, exporter = traced
    with tracer.request("POST", "http", None):
        now, now_ns = perf_counter(), time_ns()
        tracer.past([("detect", now - 3, now - 1, -1), ("decode", now - 2.5, now - 2, 0)], **{"process.pid": 7})
    detect, decode, _ = exporter.get_finished_spans()
    assert decode.parent.span_id == detect.context.span_id
    for span, begins, ends in ((detect, 3, 1), (decode, 2.5, 2)):
        assert span.end_time - span.start_time == pytest.approx((begins - ends) * 1e9, abs=1e3)
        # The machine may stop the process between the two clocks.
        assert now_ns - span.end_time == pytest.approx(ends * 1e9, abs=5e8)
        assert span.attributes == {"process.pid": 7}


@pytest.mark.parametrize(
    ("error", "told", "failed"),
    [
        (KeyError("Vicky"), "KeyError", True),
        (BadImage("of Vicky"), "bad_image", False),
        (Overloaded(), "overloaded", True),
    ],
)
def test_an_error_is_told_by_its_code_alone(traced: Traced, error: Exception, told: str, failed: bool) -> None:
    tracer, exporter = traced
    with tracer.request("POST", "http", None), suppress(type(error)), tracer.span("search"):
        raise error
    search: ReadableSpan = exporter.get_finished_spans()[0]
    assert search.attributes == {"error.type": told}
    assert (search.events, search.status.description) == ((), None)
    assert search.status.is_ok is not failed
