"""CORS: off by default, and for named origins with every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from serving import serving

from face128.api.app import create_app
from face128.settings import Settings

APP = "https://app.example"
KEY = "a-long-key-of-this-test-for-browsers"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
MATCH = {"descriptor": [0] * 128, "enrolled": []}


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    """With keys, and pages of one origin that may ask."""
    settings = {"FACE128_CORS_ORIGINS": f"{APP}:443,http://localhost:3000", "FACE128_MAX_MATCH_BYTES": "5000"}
    with serving(FACE128_ENGINES="fake", API_KEY=KEY, **settings) as client:
        yield client


def test_by_default_no_page_may_read_an_answer(fake_service: httpx.Client) -> None:
    own = str(fake_service.base_url).rstrip("/")
    for answer in (
        fake_service.post("/match", json=MATCH, headers={"Origin": own}),
        fake_service.post("/match", json=MATCH, headers={"Origin": APP}),
        fake_service.options("/match", headers={"Origin": APP, **PREFLIGHT}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_preflight_is_answered_without_a_key(shared: httpx.Client) -> None:
    answer = shared.options("/match", headers={"Origin": APP, **PREFLIGHT})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert {"GET", "POST", "PUT", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_preflight_of_another_origin_is_refused(shared: httpx.Client) -> None:
    for origin in ("https://evil.example", "null", f"{APP}.evil.example", "http://app.example"):
        answer = shared.options("/match", headers={"Origin": origin, **PREFLIGHT})
        assert answer.status_code == 400
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "key", "content", "status"),
    [
        ("/match", KEY, b'{"descriptor": [], "enrolled": []}', 422),
        ("/match", KEY, b"no JSON", 400),
        ("/match", KEY, bytes(6000), 413),
        ("/match", "", b"", 401),
        ("/nothing", KEY, b"", 404),
        ("/health", KEY, b"", 405),
    ],
)
def test_errors_carry_the_headers_too(shared: httpx.Client, path: str, key: str, content: bytes, status: int) -> None:
    headers = {"Origin": APP, "X-API-Key": key, "Content-Type": "application/json"}
    answer = shared.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "Origin" in answer.headers["Vary"]
    assert {"X-Request-ID", "Retry-After"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    other = shared.post(path, content=content, headers=headers | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_so_do_too_many_wrong_keys(shared: httpx.Client) -> None:
    headers = {"Origin": APP, "X-API-Key": "a wrong one"}
    answers = [shared.post("/match", json=MATCH, headers=headers) for _ in range(12)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Access-Control-Allow-Origin"] == APP
    assert answers[-1].headers["X-Request-ID"]


def test_so_does_an_unexpected_error() -> None:
    app = create_app(Settings(engines=("fake",), cors_origins=(APP,)))

    @app.get("/break")
    def break_() -> None:
        raise RuntimeError

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/break", headers={"Origin": APP})

    answer = asyncio.run(call())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["X-Request-ID"] == answer.json()["id"]
