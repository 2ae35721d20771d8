"""reencode --post reports itself to a real service; it goes on where the service is of an older version, or away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import face128
from fake_photos import fake_photo
from serving import serving

from face128.jobs.reencode.job_reports import JobReports
from face128.jobs.reencode.remote_service import RemoteService

KEY = "a-key-of-this-test-of-32-characters"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving({"X-API-Key": KEY}, API_KEY=KEY, FACE128_ENGINES="fake") as client:
        yield client


def jobs(client: httpx.Client, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/jobs", params={"collection": collection}).json()["jobs"]
    return found


def service(client: httpx.Client, collection: str) -> RemoteService:
    return RemoteService(str(client.base_url), KEY, collection=collection)


def test_a_job_is_known_to_the_service_with_its_failures(client: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, seed in ((1, 1), (2, 2), (3, 1)):  # the third is the first again: a duplicate
        (folder / f"{number}_Name {number}.png").write_bytes(fake_photo(seed))
    (folder / "4_Nobody.png").write_bytes(b"")
    command = ("reencode", folder, "--out", tmp_path / "out.json", "--engine", "fake", "--post", str(client.base_url))
    run = face128(*command, "--collection", "command", API_KEY=KEY)
    assert run.returncode == 1, run.stderr
    (job,) = jobs(client, "command")
    assert (job["state"], job["stage"], job["key"]) == ("done", "enrolling", "plain-1")
    assert (job["total"], job["done"], job["failed"], job["errors"]) == (3, 2, 1, {"duplicate": 1})


def test_the_stages_follow_each_other_and_the_end_is_reported(client: httpx.Client) -> None:
    with JobReports(service(client, "stages")) as reports:
        reports.begin("encoding", 5, done=2)
        reports.add()
        reports.add("no_face")
        wait_for(client, "stages", {"stage": "encoding", "total": 5, "done": 3, "errors": {"no_face": 1}})
        reports.begin("enrolling", 2)
        wait_for(client, "stages", {"stage": "enrolling", "total": 2, "done": 0, "failed": 0, "errors": {}})
    assert jobs(client, "stages")[0]["state"] == "done"


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_how_it_ended_is_reported(client: httpx.Client, error: type[BaseException], state: str) -> None:
    with pytest.raises(error), JobReports(service(client, state)) as reports:  # noqa: PT012
        reports.begin("enrolling", 3)
        reports.add()
        raise error
    (job,) = jobs(client, state)
    assert (job["state"], job["total"], job["done"]) == (state, 3, 1)


def test_no_job_needs_a_service_that_takes_its_reports() -> None:
    for wanted in (None, RemoteService("http://127.0.0.1:9", None)):
        with JobReports(wanted) as reports:
            reports.begin("encoding", 1)
            reports.add()
    with older_service() as (url, asked):
        with JobReports(RemoteService(url, None)) as reports:
            reports.begin("encoding", 2)
            for _ in range(100):
                if asked:
                    break
                time.sleep(0.1)
            reports.add()
        assert len(asked) == 1, "a service that does not know the address is not asked again"


def wait_for(client: httpx.Client, collection: str, wanted: dict[str, Any]) -> None:
    for _ in range(200):
        found = jobs(client, collection)
        if found and wanted.items() <= found[0].items():
            return
        time.sleep(0.1)
    raise AssertionError(found)


@contextmanager
def older_service() -> Iterator[tuple[str, list[str]]]:
    """It answers 404, as one does that has no such address; and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
