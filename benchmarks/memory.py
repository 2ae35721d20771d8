"""Memory of all processes after 200 encodes, and how much it has grown 2,000 encodes later."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

from benchmarks.harness import Figure, Report
from benchmarks.photos import portraits
from benchmarks.processes import Highest, taken
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Request, started, upload

FIRST, MORE = 200, 2_000
NAIVE_FIRST = 20  # it takes a third of a second for each; its models are in memory after the first
CLIENTS = 4
LIMIT = 300.0
GROWTH = 15.0  # MB that malloc's arenas may wander; a leak of one small photo an encode would be 500


def measure() -> Report:
    report = Report()
    if not Path("/proc/self/smaps_rollup").exists():
        report.notes.append("Memory is read from /proc, which this machine has not.")
        return report
    with started(FACE128, NAIVE) as services:
        face128 = services[FACE128]
        face128.throughput(_mixed(FIRST), CLIENTS)
        early = taken(face128.process_id).memory
        naive = None
        if NAIVE in services:
            services[NAIVE].throughput(_mixed(NAIVE_FIRST), 1)
            naive = taken(services[NAIVE].process_id).memory
        else:
            report.notes.append(NO_NAIVE)
        highest = Highest(face128.process_id)
        face128.throughput(_mixed(MORE), CLIENTS)
        late, peak = taken(face128.process_id).memory, highest.stop()
    peer = f"{NAIVE}, after {NAIVE_FIRST}"
    report.figures += [
        Figure(f"memory after {FIRST} encodes", early, "MB", peer, naive, at_most=LIMIT),
        Figure(f"memory, growth over {MORE:,} more", late - early, "MB", at_most=GROWTH),
        Figure("memory, highest", peak, "MB"),
    ]
    return report


def _mixed(count: int) -> list[Request]:
    """Portraits of 1 and of 0.25 megapixels by turns."""
    requests = [upload(photo) for pair in zip(portraits(1), portraits(0.25), strict=True) for photo in pair]
    return list(islice(cycle(requests), count))
