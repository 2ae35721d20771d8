"""Many more requests than the service can answer; benchmarks/overload.py does the same for a minute, and measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import traffic
from benchmarks.overload import health_waits_ms
from benchmarks.services import FACE128, READY, Service

SECONDS = 4.0
RATE = 250.0  # 100 photos a second for one worker


def test_every_answer_is_right_or_overloaded_and_afterwards_all_is_as_before(tmp_path: Path) -> None:
    service = Service(FACE128, FACE128_DATA=str(tmp_path), FACE128_THREADS="1", FACE128_QUEUE="4")
    try:
        service.wait_for(READY)
        mix = traffic.in_order(traffic.prepare(service))
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(health_waits_ms, service.port, SECONDS)
            overloaded = traffic.open_loop(service, mix, RATE, SECONDS)
        assert overloaded.wrong == []
        assert set(overloaded.correct) == set(traffic.MIX)
        assert overloaded.refused["/encode-image"] > 0
        assert overloaded.refused["/match_face"] > 0
        assert max(waits.result()) < 5_000  # it was answered all the time: no measurement
        after = traffic.closed_loop(service.port, mix, clients=1, seconds=1)
        assert (after.wrong, sum(after.refused.values())) == ([], 0)
    finally:
        service.stop()
