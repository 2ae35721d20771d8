"""The cost of traces: /match of the same service without them, with them, and with one in a hundred; in turn."""

from __future__ import annotations

import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import psutil

from benchmarks.harness import Figure, Report, interleave, medians
from benchmarks.match import NUMBERS, match_request
from benchmarks.services import FACE128, READY, Service

ROUNDS = 6000
SENT_AFTER_S = 6.0  # the exporter sends every five seconds
TRACED, SAMPLED = "with traces", "with 1 % of them"


class _Collector(BaseHTTPRequestHandler):
    """Takes everything, and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def measure() -> Report:
    report = Report()
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    collector.daemon_threads = True
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    traces = {"FACE128_TRACES": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_address[1]}"}
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    services = {FACE128: Service(FACE128), TRACED: Service(FACE128, **traces)}
    services[SAMPLED] = Service(FACE128, **traces, **sampler)
    try:
        for service in services.values():
            service.wait_for(READY)
        request = match_request(1, NUMBERS)
        sends = {name: partial(service.send, request) for name, service in services.items()}
        interleave(sends, ROUNDS // 10)
        time.sleep(SENT_AFTER_S)
        before = {name: _cpu_seconds(service) for name, service in services.items()}
        times = interleave(sends, ROUNDS)
        time.sleep(SENT_AFTER_S)
        typical = medians(times)
        for name in (TRACED, SAMPLED):
            report.figures.append(
                Figure(f"/match, 1 member, {name}: p50", typical[name], "ms", FACE128, typical[FACE128])
            )
            pairs = zip(times[name], times[FACE128], strict=True)
            report.notes.append(f"{name}: median of the differences {1e3 * median(a - b for a, b in pairs):.0f} µs.")
        for name, service in services.items():
            cpu_us = 1e6 * (_cpu_seconds(service) - before[name]) / ROUNDS
            memory_mb = psutil.Process(service.process_id).memory_info().rss / 1e6
            report.notes.append(f"{name}: {cpu_us:.0f} µs of CPU time a request, {memory_mb:.0f} MB.")
    finally:
        for service in services.values():
            service.stop()
        collector.shutdown()
    return report


def _cpu_seconds(service: Service) -> float:
    times = psutil.Process(service.process_id).cpu_times()
    return float(times.user + times.system)
