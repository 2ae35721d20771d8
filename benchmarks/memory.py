"""Resident memory after 200 encodes, and how much it has grown 2,000 encodes later."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

from benchmarks.harness import Figure, Report
from benchmarks.photos import portraits
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Request, Service, started, upload

FIRST, MORE = 200, 2_000
NAIVE_FIRST = 20  # it takes a third of a second for each; its models are in memory after the first
CLIENTS = 4
LIMIT = 300.0
GROWTH = 15.0  # MB that malloc's arenas may wander; a leak of one small photo an encode would be 500


def measure() -> Report:
    report = Report()
    if not Path("/proc/self/status").exists():
        report.notes.append("Memory is read from /proc, which this machine has not.")
        return report
    with started(FACE128, NAIVE) as services:
        face128 = services[FACE128]
        face128.throughput(_mixed(FIRST), CLIENTS)
        early = _resident(face128)
        naive = None
        if NAIVE in services:
            services[NAIVE].throughput(_mixed(NAIVE_FIRST), 1)
            naive = _resident(services[NAIVE])
        else:
            report.notes.append(NO_NAIVE)
        face128.throughput(_mixed(MORE), CLIENTS)
        late, peak = _resident(face128), _resident(face128, "VmHWM")
    peer = f"{NAIVE}, after {NAIVE_FIRST}"
    report.figures += [
        Figure(f"resident memory after {FIRST} encodes", early, "MB", peer, naive, at_most=LIMIT),
        Figure(f"resident memory, growth over {MORE:,} more", late - early, "MB", at_most=GROWTH),
        Figure("resident memory, peak", peak, "MB"),
    ]
    return report


def _mixed(count: int) -> list[Request]:
    """Portraits of 1 and of 0.25 megapixels by turns."""
    requests = [upload(photo) for pair in zip(portraits(1), portraits(0.25), strict=True) for photo in pair]
    return list(islice(cycle(requests), count))


def _resident(service: Service, field: str = "VmRSS") -> float:
    """Megabytes (10^6 bytes); the file says kB and means 1024 bytes."""
    lines = Path(f"/proc/{service.process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6
