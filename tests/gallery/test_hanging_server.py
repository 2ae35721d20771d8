"""A database server that hangs: its processes are stopped, and answer nothing."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import database_servers
import httpx
import pytest
from fake_photos import create_record, fake_photo
from liveness import until
from serving import started

ANSWERED_WITHIN_S = 5.0
BUSY_MACHINE_S = 15.0  # what a machine may add that does other things; a wait that is not bounded takes 30 and more
REQUESTS = 12  # more than the gallery has threads


@pytest.mark.parametrize(("kind", "workers"), [("mariadb", 1), ("postgresql", 2)])
def test_it_holds_nobody(request: pytest.FixtureRequest, kind: str, workers: int) -> None:
    server: database_servers.Server = request.getfixturevalue(kind)
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATABASE_URL": server.new_gallery()}
    with started(workers=workers, **settings) as (process, port):
        base_url = f"http://127.0.0.1:{port}"

        def ask(number: int) -> tuple[int, str, float]:
            start = time.monotonic()
            with httpx.Client(base_url=base_url, timeout=60) as client:
                if number % 3 == 0:
                    answer = create_record(client, fake_photo(number), f"Person {number}")
                elif number % 3 == 1:
                    answer = client.post("/match_face", files={"image": fake_photo(1)})
                else:
                    answer = client.get("/records")
            return answer.status_code, answer.json().get("code"), time.monotonic() - start

        with httpx.Client(base_url=base_url, timeout=60) as client, ThreadPoolExecutor(REQUESTS) as pool:
            assert create_record(client, fake_photo(1), "Jane").status_code == 200
            assert list(pool.map(ask, range(1, 3)))  # more open connections
            with server.frozen():
                answers = list(pool.map(ask, range(REQUESTS)))
                assert {answer[:2] for answer in answers} == {(503, "gallery_away")}
                assert max(answer[2] for answer in answers) < ANSWERED_WITHIN_S + BUSY_MACHINE_S
                for _ in range(3):
                    ready = client.get("/ready")
                    assert (ready.status_code, ready.json()["code"]) == (503, "gallery_away")
                posted = {"descriptor": [0.0] * 128, "enrolled": []}
                assert client.post("/match", json=posted).json() == {"match": False}
            until(lambda: client.get("/ready").status_code == 200)
            until(lambda: ask(1)[0] == 200)  # every worker, sooner or later
            assert create_record(client, fake_photo(50), "John").status_code == 200
            with server.frozen():
                pool.submit(ask, 2)
                time.sleep(0.2)
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=25) == 0  # the grace is 30 seconds


def test_a_service_that_starts_while_it_hangs_serves_posted_lists(postgresql: database_servers.Server) -> None:
    server = postgresql
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATABASE_URL": server.new_gallery()}
    with server.frozen(), started(wait="/health", **settings) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until(lambda: client.get("/ready").json().get("code") == "gallery_away")
            posted = {"descriptor": [0.0] * 128, "enrolled": []}
            assert client.post("/match", json=posted).json() == {"match": False}
            with ThreadPoolExecutor(REQUESTS) as pool:
                start = time.monotonic()
                answers = list(pool.map(lambda _: client.get("/records"), range(REQUESTS)))
                assert time.monotonic() - start < ANSWERED_WITHIN_S + BUSY_MACHINE_S
            assert {answer.json()["code"] for answer in answers} <= {"gallery_away", "not_ready"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=25) == 0
