"""FACE128_SHADOW_MODELS: it changes no answer, counts what would have been decided, and names nobody."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from retail_models import tiny_model
from serving import photo, serving, started

BOTH = {"FACE128_ENGINES": "dlib,retail", "FACE128_SHADOW_MODELS": "retail,dlib+retail"}
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def model() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield tiny_model(Path(folder))


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[httpx.Client]:
    with serving(**BOTH, FACE128_RETAIL_MODEL=str(model)) as client:
        yield client


def shadows(client: httpx.Client) -> dict[tuple[str, str], int]:
    lines = client.get("/metrics").text.splitlines()
    found = {}
    for line in lines:
        if line.startswith("face128_shadow_decisions_total{"):
            labels, value = line.removeprefix("face128_shadow_decisions_total{").split("} ")
            models, result = (part.split('"')[1] for part in labels.split(","))
            found[models, result] = int(float(value))
    return found


def new_shadows(client: httpx.Client, before: dict[tuple[str, str], int], count: int) -> dict[tuple[str, str], int]:
    """What was counted since; it comes after the answer."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        new = {key: value - before.get(key, 0) for key, value in shadows(client).items() if value != before.get(key)}
        if sum(new.values()) >= count:
            return new
        assert time.monotonic() < deadline, new
        time.sleep(0.05)


def vector(dimension: int, place: int, size: float = 1.0) -> list[float]:
    numbers = np.zeros(dimension)
    numbers[place] = size
    return numbers.tolist()


def both(place: int, retail_place: int) -> dict[str, list[float]]:
    return {"dlib-resnet-v1": vector(128, place), "retail-0095": vector(256, retail_place)}


MEMBERS = [
    {"regNo": 1, "name": "Ann", "descriptors": both(0, 0)},
    {"regNo": 2, "name": "Bob", "descriptors": both(1, 1)},
]


@pytest.mark.parametrize(
    ("probe", "answer", "by_retail", "by_both"),
    [
        (both(0, 0), {"regNo": 1, "name": "Ann"}, "same", "same"),
        (both(0, 1), {"regNo": 1, "name": "Ann"}, "other_person", "no_match_instead"),
        (both(0, 5), {"regNo": 1, "name": "Ann"}, "no_match_instead", "no_match_instead"),
        (both(5, 1), {"match": False}, "match_instead", "same"),
        (both(5, 5), {"match": False}, "same", "same"),
    ],
)
def test_a_shadow_counts_and_answers_nobody(
    service: httpx.Client, probe: Any, answer: Any, by_retail: str, by_both: str
) -> None:
    before = shadows(service)
    assert service.post("/match", json={"descriptors": probe, "enrolled": MEMBERS}).json() == answer
    expected: dict[tuple[str, str], int] = {("retail", by_retail): 1, ("dlib+retail", by_both): 1}
    assert new_shadows(service, before, 2) == expected


def test_a_probe_of_one_model_has_no_shadow(service: httpx.Client) -> None:
    before = shadows(service)
    body = {"descriptor": vector(128, 0), "enrolled": MEMBERS}
    assert service.post("/match", json=body).json() == {"regNo": 1, "name": "Ann"}
    assert service.post("/match", json=body | {"descriptors": both(0, 0)}).status_code == 200
    assert sum(new_shadows(service, before, 2).values()) == 2  # of the second alone


@pytest.mark.parametrize("path", ["/match_face", "/records/match"])
def test_photos_are_looked_at_by_both_and_answered_as_without_a_shadow(
    service: httpx.Client, path: str, model: Path
) -> None:
    files = {"files": photo("obama-2012.jpg")}
    assert (
        service.post("/enroll_faces/7", data={"name": "B"}, params={"replace": "true"}, files=files).status_code == 200
    )
    before = shadows(service)
    answer = service.post(path, files={"image": photo("obama-2012.jpg")}).json()
    assert answer.get("status", "access_granted") == "access_granted"
    assert new_shadows(service, before, 2) == {("retail", "same"): 1, ("dlib+retail", "same"): 1}
    explained = service.post("/match_face?explain=true", files={"image": photo("obama-2012.jpg")}).json()
    assert explained["model"] == "dlib-resnet-v1"
    assert explained["models"] == ["dlib-resnet-v1"], "it is decided as if the probe had no other"


def test_a_difference_is_logged_without_a_person(model: Path, tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as log,
        started(stderr=log, **BOTH, FACE128_RETAIL_MODEL=str(model)) as (process, port),
    ):
        body = {"descriptors": both(0, 5), "enrolled": [{"regNo": 98765, "name": "Zoe", "descriptors": both(0, 0)}]}
        assert httpx.post(f"http://127.0.0.1:{port}/match", json=body, timeout=60).json()["regNo"] == 98765
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if "shadow" in line]
    assert len(lines) == 2
    assert all("no_match_instead" in line for line in lines)
    assert not any("98765" in line or "Zoe" in line for line in lines)
