"""Photos that crash or hang native code, in a service that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import poisoned
import pytest
from liveness import lives, until
from serving import started

from benchmarks.processes import process_tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="worker processes need Linux")

MATCH = {"descriptor": [0] * 128, "enrolled": []}

Service = tuple[subprocess.Popen[bytes], httpx.Client]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    settings = poisoned.settings(FACE128_THREADS="2", FACE128_PHOTO_SECONDS="1.5", API_KEY="the-key-of-this-test")
    headers = {"X-API-Key": "the-key-of-this-test"}
    with (
        started(**settings) as (process, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
    ):
        yield process, client


def send(client: httpx.Client, width: int) -> httpx.Response:
    return client.post("/encode-image", files={"image": poisoned.photo(width)})


@pytest.mark.parametrize("width", [poisoned.CRASHES, poisoned.HANGS])
def test_a_photo_that_takes_its_process_along_is_a_bad_image_and_nobody_else_notices(
    service: Service, width: int
) -> None:
    process, client = service
    workers = set(process_tree(process.pid)[2:])
    with ThreadPoolExecutor(9) as pool:
        deadly = pool.submit(send, client, width)
        others = list(pool.map(lambda _: send(client, poisoned.HARMLESS), range(8)))
        assert client.post("/match", json=MATCH).json() == {"match": False}
        assert [other.status_code for other in others] == [200] * 8
        assert (deadly.result().status_code, deadly.result().json()["code"]) == (400, "bad_image")
    with ThreadPoolExecutor(2) as pool:

        def replaced() -> bool:
            """Send photos until the thread that lost its worker has one again: any thread may take the next."""
            others = list(pool.map(lambda _: send(client, poisoned.HARMLESS), range(4)))
            assert [other.status_code for other in others] == [200] * 4
            return len(process_tree(process.pid)) == 4  # the service, the fork server, two workers

        until(replaced)
    assert len(workers - set(process_tree(process.pid))) == 1


def test_a_deadly_photo_that_comes_again_costs_no_second_worker(service: Service) -> None:
    process, client = service
    photo = poisoned.photo(poisoned.CRASHES)
    assert client.post("/encode-image", files={"image": photo}).json()["code"] == "bad_image"
    assert send(client, poisoned.HARMLESS).status_code == 200
    workers = process_tree(process.pid)
    again = client.post("/encode-image", files={"image": photo})
    assert (again.status_code, again.json()["code"]) == (400, "bad_image")
    assert process_tree(process.pid) == workers


def test_the_other_photos_of_a_batch_are_described(service: Service) -> None:
    import base64

    widths = [poisoned.HARMLESS, poisoned.CRASHES, poisoned.HARMLESS]
    images = [base64.b64encode(poisoned.photo(width)).decode() for width in widths]
    results = service[1].post("/batch-extract", json={"images": images}).json()["results"]
    assert [result.get("code") for result in results] == [None, "bad_image", None]


def test_workers_and_the_fork_server_are_replaced_when_they_are_killed(service: Service) -> None:
    process, client = service
    for victim in process_tree(process.pid)[1:]:
        os.kill(victim, signal.SIGKILL)
    assert [send(client, poisoned.HARMLESS).status_code for _ in range(4)] == [200] * 4


def test_the_process_that_photos_reach_has_no_key(service: Service) -> None:
    process, _ = service
    everyone = [Path(f"/proc/{each}/environ").read_bytes() for each in process_tree(process.pid)]
    assert [b"key-of-this-test" in environment for environment in everyone] == [True] + [False] * (len(everyone) - 1)


def test_no_process_outlives_a_service_that_is_killed() -> None:
    with started(**poisoned.settings(FACE128_THREADS="2")) as (process, port):
        everyone = process_tree(process.pid)
        assert len(everyone) == 4
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(send, client, poisoned.HANGS)
            time.sleep(0.5)
            process.kill()
            with pytest.raises(httpx.TransportError):
                hanging.result()
        until(lambda: not any(lives(each) for each in everyone[1:]))


def test_in_threads_such_a_photo_takes_the_service_along() -> None:
    """Why there are processes: this is what the setting ``thread`` means."""
    with started(**poisoned.settings(FACE128_ISOLATION="thread")) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client, pytest.raises(httpx.TransportError):
            send(client, poisoned.CRASHES)
        assert process.wait(20) == -signal.SIGSEGV
