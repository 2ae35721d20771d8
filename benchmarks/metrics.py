"""The cost of counting for /metrics: /match of the same service with and without the counting, in turn."""

from __future__ import annotations

from functools import partial
from statistics import median

from benchmarks.harness import ROOT, Figure, Report, interleave, medians
from benchmarks.match import NUMBERS, match_request
from benchmarks.services import FACE128, READY, Request, Service

ROUNDS = {1: 6000, 1_000: 1500}  # by members
UNCOUNTED = "without metrics"


def measure() -> Report:
    report = Report()
    uncounted = Service(FACE128, PYTHONPATH=str(ROOT / "benchmarks" / "without_metrics"))
    services = {FACE128: Service(FACE128), UNCOUNTED: uncounted}
    try:
        for service in services.values():
            service.wait_for(READY)
        for members, rounds in ROUNDS.items():
            request = match_request(members, NUMBERS)
            assert len({service.send(request) for service in services.values()}) == 1  # the same answer
            sends = {name: partial(service.send, request) for name, service in services.items()}
            interleave(sends, rounds // 10)
            times = interleave(sends, rounds)
            typical = medians(times)
            what = f"/match, {members:,} members: p50"
            report.figures.append(Figure(what, typical[FACE128], "ms", UNCOUNTED, typical[UNCOUNTED]))
            pairs = zip(times[FACE128], times[UNCOUNTED], strict=True)
            difference = 1e3 * median(a - b for a, b in pairs)
            report.notes.append(f"{members:,} members: median of the differences {difference:.0f} µs.")
        counted = {name: b'route="/match"' in service.send(Request("/metrics")) for name, service in services.items()}
        assert counted == {FACE128: True, UNCOUNTED: False}
    finally:
        for service in services.values():
            service.stop()
    return report
