"""Sends the spans to an OpenTelemetry collector: in the background, from a bounded queue, until the service ends.

A collector that is away costs spans and a line in the log, never a request.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from face128.errors import ConfigurationError
from face128.traces.service_tracer import ServiceTracer

LAST_SPANS_TIMEOUT_S = 3.0
"""For the spans of the last seconds to be sent at the end. A collector that is near takes milliseconds."""
QUIET_S = 60.0

log = logging.getLogger("face128")


class Sending:
    """The tracer, and what sends its spans. Each process has its own."""

    def __init__(self, version: str, url: str) -> None:
        """Use start.py. Raises ConfigurationError where OpenTelemetry refuses one of its variables."""
        own = {"service.name": "face128", "service.version": version, "service.instance.id": str(uuid.uuid4())}
        resource = Resource.create(own).merge(OTELResourceDetector().detect())  # what the operator names goes before
        try:
            self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except (ValueError, OSError):  # an error would quote the value
            names = ", ".join(sorted(name for name in os.environ if name.startswith("OTEL_")))
            raise ConfigurationError(f"OpenTelemetry refuses the value of one of these variables: {names}.") from None
        self.tracer = ServiceTracer(self._provider, version)
        for handler in logging.getLogger().handlers:
            handler.addFilter(_Seldom())
        log.info("traces are sent to %s", url)

    def stop(self) -> None:
        """Send what is left. Blocking: LAST_SPANS_TIMEOUT_S at most."""
        sender = threading.Thread(target=self._provider.shutdown, daemon=True, name="last traces")
        sender.start()
        sender.join(LAST_SPANS_TIMEOUT_S)
        if sender.is_alive():
            log.warning("the last traces could not be sent in %g seconds", LAST_SPANS_TIMEOUT_S)


def reaches_collector() -> bool:
    """Whether the collector takes a request without spans. For face128 doctor, which says it in its own words."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(timeout=LAST_SPANS_TIMEOUT_S)
    try:
        return exporter.export(()) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


class _Seldom(logging.Filter):
    """Passes one line of OpenTelemetry's a minute: it tells of each attempt to reach a collector that is away.

    Of an error that it quotes, the class is left: the message has the collector's URL, which may have a key in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry"):
            return True
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + QUIET_S
        if isinstance(record.args, tuple):
            record.args = tuple(type(each).__name__ if isinstance(each, Exception) else each for each in record.args)
        return True
