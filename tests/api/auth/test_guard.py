"""API keys over real HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from serving import serving

from face128 import api_keys
from face128.api.auth.throttle import MAX_FAILURES

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


# The scope of each route, as in docs/operations.md. An unknown path would be 404, not 403.
ROUTES = {
    ("POST", "/match"): "match",
    ("POST", "/compare"): "match",
    ("POST", "/compare-faces"): "match",
    ("POST", "/match_face"): "match",
    ("POST", "/verify/{user_id}"): "match",
    ("PUT", "/lists/{digest}"): "match",
    ("HEAD", "/lists/{digest}"): "match",
    ("DELETE", "/lists/{digest}"): "match",
    ("POST", "/records/match"): "match",
    ("POST", "/encode-image"): "encode",
    ("POST", "/detect"): "encode",
    ("POST", "/verify-face"): "encode",
    ("POST", "/extract-embedding"): "encode",
    ("POST", "/batch-extract"): "encode",
    ("POST", "/records"): "gallery",
    ("GET", "/records"): "gallery",
    ("GET", "/records/{record_id}"): "gallery",
    ("GET", "/collections"): "gallery",
    ("GET", "/decisions"): "gallery",
    ("GET", "/jobs"): "gallery",
    ("PUT", "/jobs/{job_id}"): "gallery",
    ("GET", "/people"): "gallery",
    ("GET", "/people/{user_id}"): "gallery",
    ("PATCH", "/people/{user_id}"): "gallery",
    ("POST", "/people/{user_id}/merge"): "gallery",
    ("DELETE", "/records/{record_id}"): "gallery",
    ("POST", "/enroll_faces/{user_id}"): "gallery",
    ("DELETE", "/enroll_faces/{user_id}"): "gallery",
    ("POST", "/maintenance/rebuild-index"): "admin",
    ("GET", "/metrics"): "admin",
}
OPEN = {("GET", "/health"), ("GET", "/ready")}
SECRETS = {scope: f"the-key-for-{scope}-{'x' * 30}" for scope in sorted(api_keys.SCOPES)}


@pytest.fixture(scope="module")
def scoped() -> Iterator[httpx.Client]:
    """A key for each scope, and the old and new key of a caller that rotates them."""
    entries = [api_keys.key_from_secret(scope, secret, scope).entry for scope, secret in SECRETS.items()]
    entries += [api_keys.key_from_secret("rotated", secret, "match").entry for secret in KEYS]
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=",".join(entries)) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_route_opens_to_its_scope_alone(scoped: httpx.Client, method: str, path: str) -> None:
    needed = ROUTES[method, path]
    path = re.sub(r"{\w+}", "nobody", path)
    for scope, secret in SECRETS.items():
        answer = scoped.request(method, path, headers={"Authorization": f"Bearer {secret}"})
        if scope == needed:
            assert answer.status_code not in (401, 403, 429)
            continue
        assert answer.status_code == 403
        if method == "HEAD":
            continue
        assert (answer.json()["code"], answer.json()["scope"]) == ("forbidden", needed)
        assert needed in answer.json()["error"]


def test_openapi_documents_the_scope_of_every_route(scoped: httpx.Client) -> None:
    document = scoped.get("/openapi.json").json()
    documented = {
        (method.upper(), path.replace(":path", "")): route.get("security")
        for path, methods in document["paths"].items()
        for method, route in methods.items()
    }
    (scheme,) = document["components"]["securitySchemes"]
    assert documented == {route: [{scheme: [scope]}] for route, scope in ROUTES.items()} | dict.fromkeys(OPEN)
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            refusals = {"401", "403", "429"} & route["responses"].keys()
            open_always = (method.upper(), path) in OPEN and path != "/ready"  # ?details needs a key
            assert len(refusals) == (0 if open_always else 3)


def test_two_keys_of_one_caller_work_at_a_time_and_a_hash_is_no_key(scoped: httpx.Client) -> None:
    body = {"descriptor": [0] * 128, "enrolled": []}
    for key, status in ((KEYS[0], 200), (KEYS[1], 200), (api_keys.hash_secret(KEYS[0]).hex(), 401)):
        assert scoped.post("/match", json=body, headers={"X-API-Key": key}).status_code == status


BODY = {"descriptor": [0] * 128, "enrolled": []}
SHORT_KEY = "a-short-secret"


def test_who_guesses_is_throttled_and_a_long_valid_key_is_not() -> None:
    with serving(FACE128_ENGINES="fake", API_KEY=f"{SHORT_KEY},{SECRETS['match']}") as client:

        def ask(key: str) -> httpx.Response:
            return client.post("/match", json=BODY, headers={"X-API-Key": key} if key else {})

        assert ask(SHORT_KEY).status_code == 200
        assert [ask("").status_code for _ in range(2 * MAX_FAILURES)] == [401] * 2 * MAX_FAILURES  # no key is no guess
        answers = [ask(f"guess-{i}") for i in range(MAX_FAILURES + 5)]
        assert [answer.status_code for answer in answers[:MAX_FAILURES]] == [401] * MAX_FAILURES
        for answer in [*answers[MAX_FAILURES:], ask(SHORT_KEY)]:
            assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
            assert 1 <= int(answer.headers["Retry-After"]) == answer.json()["retry_after"] <= 6
        assert ask(SECRETS["match"]).status_code == 200
        assert ask("").status_code == 401
        assert client.get("/health").status_code == 200


def wrong_key_statuses(client: httpx.Client, forwarded: list[str]) -> list[int]:
    """The statuses of calls with a wrong key, one for each X-Forwarded-For."""
    calls = ({"X-API-Key": "wrong", "X-Forwarded-For": address} for address in forwarded)
    return [client.post("/match", json=BODY, headers=headers).status_code for headers in calls]


def test_a_forwarded_address_counts_only_where_a_proxy_is_trusted() -> None:
    many = [f"198.51.100.{i}" for i in range(MAX_FAILURES + 3)]
    with serving(FACE128_ENGINES="fake", API_KEY=SHORT_KEY) as client:
        assert wrong_key_statuses(client, many)[-3:] == [429] * 3
    with serving(FACE128_ENGINES="fake", API_KEY=SHORT_KEY, FACE128_TRUSTED_PROXIES="127.0.0.0/8") as client:
        assert wrong_key_statuses(client, many) == [401] * len(many)
        # The proxy appends the address that it saw; what the client wrote before it is ignored.
        forged = [f"203.0.113.{i}, 198.51.100.99" for i in range(MAX_FAILURES + 3)]
        assert wrong_key_statuses(client, forged)[-3:] == [429] * 3
        assert wrong_key_statuses(client, ["2001:db8::1", "2001:db8:0:1::1"]) == [401] * 2
        same_network = [f"2001:db8:0:1::{i:x}" for i in range(2, MAX_FAILURES + 4)]
        assert wrong_key_statuses(client, same_network)[-3:] == [429] * 3
    with serving(FACE128_ENGINES="fake", API_KEY=SHORT_KEY, FACE128_TRUSTED_PROXIES="10.0.0.0/8") as client:
        assert wrong_key_statuses(client, many)[-3:] == [429] * 3


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_and_ready_need_no_key(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_the_key_is_asked_for_before_the_body_is_read(locked: httpx.Client) -> None:
    answer = locked.post("/encode-image", content=bytes(20 * 2**20), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 401
