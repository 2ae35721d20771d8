"""API keys over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import serving

KEYS = ("first-key-of-thirty-two-characters", "second/key+with==signs")


@pytest.fixture(scope="module")
def locked() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", API_KEY=",".join(KEYS)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": KEYS[0]},
        {"Authorization": f"Basic {KEYS[0]}"},
        {"Authorization": f"Bearer {KEYS[0]}x"},
        {"Authorization": f"Bearer {','.join(KEYS)}"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
    ],
)
@pytest.mark.parametrize("path", ["/match", "/encode-image"])
def test_without_a_right_key_nothing_is_answered(locked: httpx.Client, path: str, headers: dict[str, str]) -> None:
    answer = locked.post(path, headers=headers, json={})
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", KEYS)
def test_either_header_and_every_key_opens(locked: httpx.Client, key: str) -> None:
    body = {"descriptor": [0] * 128, "enrolled": []}
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}, {"X-API-Key": key}):
        answer = locked.post("/match", json=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"match": False})


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_and_ready_need_no_key(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_the_key_is_asked_for_before_the_body_is_read(locked: httpx.Client) -> None:
    answer = locked.post("/encode-image", content=bytes(20 * 2**20), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 401
