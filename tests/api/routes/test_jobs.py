"""What jobs that post here report of themselves: /jobs over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import serving

from face128.api_keys import key_from_secret

OFFICE, NORTH = "o" * 40, "n" * 40
HALF = {"state": "running", "stage": "enrolling", "total": 10, "done": 4, "failed": 1, "errors": {"no_face": 1}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    entries = [
        key_from_secret("office", OFFICE, "gallery").entry,
        key_from_secret("n", NORTH, "gallery", "north").entry,
    ]
    with serving({"X-API-Key": OFFICE}, FACE128_ENGINES="fake", FACE128_API_KEYS=",".join(entries)) as client:
        yield client


def test_a_job_is_listed_as_it_reported_last(client: httpx.Client) -> None:
    assert client.get("/jobs").json() == {"jobs": []}
    first = client.put("/jobs/a-job", json=HALF).json()
    assert first | HALF == first
    assert (first["id"], first["key"], first["stalled"]) == ("a-job", "office", False)
    done = {"state": "done", "stage": "enrolling", "total": 10, "done": 10}
    last = client.put("/jobs/a-job", json=done).json()
    assert last | done == last
    assert (last["failed"], last["errors"], last["started_at"]) == (0, {}, first["started_at"])
    assert client.get("/jobs").json() == {"jobs": [last]}


def test_a_key_of_one_collection_sees_the_jobs_there(client: httpx.Client) -> None:
    client.put("/jobs/theirs", json=HALF, headers={"X-Face-Collection": "north"})
    north = client.get("/jobs", headers={"X-API-Key": NORTH}).json()["jobs"]
    assert [job["id"] for job in north] == ["theirs"]
    assert "theirs" not in client.get("/jobs").text
    assert client.put("/jobs/x?collection=south", json=HALF, headers={"X-API-Key": NORTH}).status_code == 403


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("state", {"state": "lost"}),
        ("stage", {"stage": None}),
        ("total", {"total": -1}),
        ("total", {"total": 2**31}),
        ("total", {"total": True}),
        ("done", {"done": 4.5}),
        ("done", {"done": "4"}),
        ("errors", {"errors": {f"code_{index}": 1 for index in range(51)}}),
        ("errors", {"errors": {"No Face": 1}}),
        ("body", {"Vicky": 1}),
        ("body", {"done": 9, "failed": 2}),
    ],
)
def test_a_wrong_report_is_refused_with_its_field(client: httpx.Client, field: str, wrong: dict[str, Any]) -> None:
    before = client.get("/jobs").json()
    answer = client.put("/jobs/wrong", json=HALF | wrong)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", field)
    assert "No Face" not in answer.text
    assert "Vicky" not in answer.text
    assert client.get("/jobs").json() == before


def test_a_wrong_id_and_a_body_that_is_no_report_are_refused(client: httpx.Client) -> None:
    for path in ("/jobs/a%20job", "/jobs/" + "x" * 65, "/jobs/%C3%A4"):
        assert client.put(path, json=HALF).status_code == 422
    assert client.put("/jobs/a", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.put("/jobs/a", json=[HALF]).status_code == 422
    assert client.put("/jobs/a", json=HALF | {"errors": {"x": "y" * 20_000}}).status_code == 413
