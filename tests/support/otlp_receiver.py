"""A collector: receives traces by OTLP over HTTP, and keeps them as they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

WAIT_S = 30.0


@dataclass
class ReceivedSpan:
    name: str
    kind: str  # as the protocol names it, without its prefix
    trace_id: str
    span_id: str
    parent_id: str  # empty: none
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]
    events: dict[str, dict[str, Any]]
    resource: dict[str, Any]


@dataclass
class Receiver:
    port: int
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[ReceivedSpan] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set: it takes connections, and answers nothing."""

    @property
    def settings(self) -> dict[str, str]:
        """Of a service that sends its traces here, soon after they have ended."""
        return {
            "FACE128_TRACES": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def wait_for(self, condition: Callable[[list[ReceivedSpan]], Any]) -> Any:
        """What ``condition`` makes of all spans, as soon as it is true. Fails after WAIT_S."""
        deadline = time.monotonic() + WAIT_S
        while not (found := condition(list(self.spans))):
            assert time.monotonic() < deadline, [(span.name, span.attributes) for span in self.spans]
            time.sleep(0.02)
        return found

    def trace_of(self, request_id: str) -> list[ReceivedSpan]:
        """All spans of the request's trace, the request's own first, the others in the order of their start."""

        def own(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
            return [span for span in spans if span.attributes.get("face128.request_id") == request_id]

        (root,) = self.wait_for(own)  # it is sent last: the others have come
        others = [span for span in self.spans if span.trace_id == root.trace_id and span is not root]
        return [root, *sorted(others, key=lambda span: span.start_ns)]


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False  # a handler that hangs
    receiver = server.receiver = Receiver(server.server_address[1])  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.hangs.clear()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while receiver.hangs.is_set():
            time.sleep(0.05)
        receiver.bodies.append(body)
        receiver.headers.append({name.title(): value for name, value in self.headers.items()})
        if self.path == "/v1/traces":
            receiver.spans += spans_of(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


def spans_of(body: bytes) -> list[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            span.name,
            Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code == Status.STATUS_CODE_ERROR,
            _plain(span.attributes),
            {event.name: _plain(event.attributes) for event in span.events},
            _plain(of_process.resource.attributes),
        )
        for of_process in request.resource_spans
        for of_scope in of_process.scope_spans
        for span in of_scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
