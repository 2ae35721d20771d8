"""100,000 mutated requests: right answers and clean refusals, and a service that is as before afterwards."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fuzzing
import httpx
from fuzz_requests import Requests
from serving import started

CLIENTS = 4
MAX_HEALTH_S = 0.2 if fuzzing.FULL_COUNTS else 30.0  # generous in the suite, where other tests run beside it


def resident_mib(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def open_sockets(process: int) -> int:
    targets = []
    for file in Path(f"/proc/{process}/fd").iterdir():
        try:
            targets.append(str(file.readlink()))
        except FileNotFoundError:
            continue
    return sum(target.startswith("socket:") for target in targets)


@fuzzing.linux
def test_a_mutated_request_is_answered_as_what_it_is_or_refused() -> None:
    count = 100_000 if fuzzing.FULL_COUNTS else 2_000
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest_health_s = 0.0
    settings = {"FACE128_ENGINES": "fake", "FACE128_LOG_LEVEL": "error"}
    with (
        started(**settings) as (process, port),
        ThreadPoolExecutor(CLIENTS) as pool,
        httpx.Client(timeout=60) as client,
    ):
        requests = Requests(port)

        def run(number: int) -> str:
            try:
                return requests.check(number)
            except AssertionError as error:
                failures.append(str(error))
            except OSError as error:
                failures.append(f"requests {number}: {error!r}")
            return "failed"

        def health_s() -> float:
            began = time.monotonic()
            assert client.get(f"http://127.0.0.1:{port}/health").status_code == 200
            return time.monotonic() - began

        # A match without a list opens the gallery, which takes memory.
        assert client.post(f"http://127.0.0.1:{port}/match", json={"descriptor": [0] * 128}).status_code == 200
        health_s()
        sockets_before, memory_before = open_sockets(process.pid), 0
        for start in range(0, count, 100):
            jobs = [pool.submit(run, number) for number in range(start, min(start + 100, count))]
            slowest_health_s = max(slowest_health_s, health_s())
            outcomes.update(job.result() for job in jobs)
            if not memory_before and start >= count // 10:
                memory_before = resident_mib(process.pid)
        deadline = time.monotonic() + 30
        while open_sockets(process.pid) > sockets_before:
            assert time.monotonic() < deadline, "connections are left over"
            time.sleep(0.1)
        growth = resident_mib(process.pid) - memory_before
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    print(f"requests: {count} cases, {dict(outcomes.most_common())}, slowest /health {1000 * slowest_health_s:.0f} ms, "
          f"growth {growth} MiB")  # fmt: skip
    assert failures == []
    assert slowest_health_s < MAX_HEALTH_S
    assert growth < 32
    for outcome in ("200", "400", "200 and closed", "refused 400", "refused 431", "no answer", "incomplete 400"):
        assert outcomes[outcome] > count / 1000, outcome
