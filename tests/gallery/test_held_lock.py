"""Another program holds the writer's lock: searches go on, and changes are refused within seconds."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import sqlalchemy as sa
from fake_photos import create_record, fake_photo
from serving import serving

ANSWERED_WITHIN_S = 5.0
BUSY_MACHINE_S = 15.0  # what a machine may add that does other things; a wait that is not bounded takes 30 and more
CHANGES = 12  # more than the gallery has threads for them
SEARCHES = 3


@contextmanager
def held(database_url: str) -> Iterator[None]:
    """The lock of writers, as a program holds it that has changed the gallery and does not commit."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database or "", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT version FROM state FOR UPDATE")
        yield
        connection.rollback()
    engine.dispose()


def test_searches_do_not_wait_and_changes_are_refused(database_url: str) -> None:
    with serving(FACE128_ENGINES="fake", FACE128_DATABASE_URL=database_url) as client:
        known = create_record(client, fake_photo(1), "Jane").json()["record"]["id"]

        def change(number: int) -> tuple[int, str, str | None, float]:
            start = time.monotonic()
            with httpx.Client(base_url=client.base_url, timeout=60) as other:
                if number % 3:
                    answer = create_record(other, fake_photo(number), f"Person {number}")
                else:
                    answer = other.delete(f"/records/{known}")
            retry_after = answer.headers.get("Retry-After")
            return answer.status_code, answer.json().get("code"), retry_after, time.monotonic() - start

        with held(database_url), ThreadPoolExecutor(CHANGES) as pool:
            changes = [pool.submit(change, 100 + number) for number in range(CHANGES)]
            for _ in range(SEARCHES):
                found = client.post("/match_face", files={"image": fake_photo(1)})
                assert found.json()["user_id"] == known
            assert not any(waiting.done() for waiting in changes)  # so no search has waited for what they wait for
            assert client.get("/records").json()["total_count"] == 1
            answers = [waiting.result() for waiting in changes]
            assert {answer[:3] for answer in answers} == {(503, "gallery_busy", "1")}
            assert max(answer[3] for answer in answers) < ANSWERED_WITHIN_S + BUSY_MACHINE_S
            assert client.post("/match_face", files={"image": fake_photo(2)}).json() == {"status": "access_denied"}
        deadline = time.monotonic() + 60
        while create_record(client, fake_photo(2), "John").status_code == 503:
            assert time.monotonic() < deadline
        assert client.get("/records").json()["total_count"] == 2
