"""Memory of all processes after 200 encodes, and its growth over 2,000 more."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

from benchmarks.harness import Figure, Report
from benchmarks.photos import portraits
from benchmarks.processes import PeakMemory, resource_usage
from benchmarks.services import FACE128, NAIVE, NO_NAIVE, Request, started, upload

FIRST_ENCODES, MORE_ENCODES = 200, 2_000
NAIVE_ENCODES = 20  # each takes a third of a second; the models are in memory after the first
CLIENTS = 4
MAX_MEMORY_MB = 300.0
MAX_GROWTH_MB = 15.0  # malloc's arenas vary by this much; a leak of one small photo per encode would add 500 MB


def measure() -> Report:
    report = Report()
    if not Path("/proc/self/smaps_rollup").exists():
        report.notes.append("No memory figures: this machine has no /proc.")
        return report
    with started(FACE128, NAIVE) as services:
        face128 = services[FACE128]
        face128.throughput(_mixed(FIRST_ENCODES), CLIENTS)
        early = resource_usage(face128.process_id).memory_mb
        naive = None
        if NAIVE in services:
            services[NAIVE].throughput(_mixed(NAIVE_ENCODES), 1)
            naive = resource_usage(services[NAIVE].process_id).memory_mb
        else:
            report.notes.append(NO_NAIVE)
        peak_memory = PeakMemory(face128.process_id)
        face128.throughput(_mixed(MORE_ENCODES), CLIENTS)
        late, peak = resource_usage(face128.process_id).memory_mb, peak_memory.stop()
    peer = f"{NAIVE}, after {NAIVE_ENCODES}"
    report.figures += [
        Figure(f"memory after {FIRST_ENCODES} encodes", early, "MB", peer, naive, at_most=MAX_MEMORY_MB),
        Figure(f"memory, growth over {MORE_ENCODES:,} more", late - early, "MB", at_most=MAX_GROWTH_MB),
        Figure("memory, highest", peak, "MB"),
    ]
    return report


def _mixed(count: int) -> list[Request]:
    """Portraits of 1 and of 0.25 megapixels in turn."""
    requests = [upload(photo) for pair in zip(portraits(1), portraits(0.25), strict=True) for photo in pair]
    return list(islice(cycle(requests), count))
