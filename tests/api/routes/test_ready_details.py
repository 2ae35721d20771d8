"""/ready?details, the metric and the log say how many strangers would match somebody of the gallery."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from command_line import face128
from people import at_distance, enrol, synthetic
from serving import started

from face128.api_keys import key_from_secret
from face128.gallery.gallery import Gallery

ADMIN, MATCHER = "an-admins-secret-of-some-length-0123", "a-matchers-secret-of-some-length-0123"
KEYS = f"{key_from_secret('admin', ADMIN).entry},{key_from_secret('door', MATCHER, 'match').entry}"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery in which everybody has a double: nine in ten of them are within the threshold."""
    folder = tmp_path_factory.mktemp("data")
    gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite")
    for index, vector in enumerate(synthetic(20)):
        enrol(gallery, str(index), vector, force=True)
        enrol(gallery, f"like {index}", at_distance(vector, 0.3 if index % 10 else 0.5), force=True)
    gallery.close()
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IO[bytes]]:
    with (tmp_path_factory.mktemp("log") / "log").open("w+b") as file:
        yield file


@pytest.fixture(scope="module")
def client(data: Path, log: IO[bytes]) -> Iterator[httpx.Client]:
    settings = {
        "FACE128_DATA": str(data),
        "FACE128_ENGINES": "fake",
        "FACE128_API_KEYS": KEYS,
        "FACE128_LOG_LEVEL": "info",
    }
    with (
        started(workers=2, stderr=log, **settings) as (_, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as it,
    ):
        yield it


def strangers_told(client: httpx.Client, query: str = "details") -> Any:
    """What one of the workers says; nothing while it starts."""
    answer = client.get(f"/ready?{query}", headers={"X-API-Key": ADMIN})
    return answer.json()["details"]["strangers"] if answer.status_code == 200 else {}


def test_the_share_of_strangers_stands_there_soon_in_every_worker(client: httpx.Client, log: IO[bytes]) -> None:
    end, seen = time.monotonic() + WAIT_S, 0
    while seen < 10:
        assert time.monotonic() < end
        strangers = strangers_told(client)
        seen = seen + 1 if strangers.get("expected_fpir") else 0
        time.sleep(0.1 if not seen else 0)
    assert strangers["expected_fpir"] == pytest.approx(0.9)
    assert (strangers["rule"], strangers["basis"]) == ("threshold", "members")
    assert strangers["low"] < 0.9 < strangers["high"]
    assert (strangers["faces"], strangers["asked"]) == (40, 40)
    assert strangers["thresholds"] == {"dlib-resnet-v1": 0.38}
    assert strangers["warning"].startswith("About 90 % of strangers")
    metric = re.compile(r'^face128_gallery_expected_fpir\{rule="threshold"\} 0\.9\d*$', re.MULTILINE)
    while not metric.search(client.get("/metrics", headers={"X-API-Key": ADMIN}).text):
        assert time.monotonic() < end
        time.sleep(0.1)
    log.seek(0)
    assert b"About 90 % of strangers" in log.read()


def test_another_collection_has_its_own(client: httpx.Client) -> None:
    assert strangers_told(client, "details=true&collection=empty") == {"rule": "threshold", "expected_fpir": None}


def test_only_an_operator_is_told(client: httpx.Client) -> None:
    for headers, status in (({}, 401), ({"X-API-Key": MATCHER}, 403)):
        for query in ("details", "details=true"):
            assert client.get(f"/ready?{query}", headers=headers).status_code == status
        for query in ("", "?details=false"):
            answer = client.get(f"/ready{query}", headers=headers)
            assert answer.status_code == 200
            assert "details" not in answer.json()
    assert client.get("/ready?details=maybe").status_code == 422


def test_the_command_line_says_it_too(data: Path) -> None:
    stats = json.loads(face128("gallery", "stats", FACE128_DATA=str(data)).stdout)
    assert stats["strangers"]["expected_fpir"] == pytest.approx(0.9)
    by_rule = {"FACE128_DATA": str(data), "FACE128_DECISION": "cohort"}
    stats = json.loads(face128("gallery", "stats", **by_rule).stdout)
    assert stats["strangers"] == {"rule": "cohort", "expected_fpir": 0.01, "basis": "alpha", "tail": "auto"}
