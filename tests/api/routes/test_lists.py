"""Uploaded lists over real HTTP: /lists/{digest}, enrolled_ref and skip_invalid."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import several_models
from liveness import until
from match_bodies import GOOD, PROBE, as_base64, member
from model_mixtures import Mixtures
from serving import serving
from several_models import DLIB, RETAIL

KEYS = {"one": "a-key-of-the-first-gym-0123456789abcdef", "two": "a-key-of-the-second-gym-0123456789abcde"}
LIST_MEMORY = 2**20


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    settings = {"FACE128_ENGINES": "fake", "FACE128_LIST_MEMORY": str(LIST_MEMORY)}
    with serving(**settings, FACE128_API_KEYS=",".join(KEYS.values())) as client:
        client.headers["X-API-Key"] = KEYS["one"]
        yield client


OTHER = {"X-API-Key": KEYS["two"]}


def text(members: list[Any]) -> bytes:
    return json.dumps(members).encode()


def digest(body: bytes) -> str:
    return "sha256-" + hashlib.sha256(body).hexdigest()


def put(client: httpx.Client, body: bytes, **more: Any) -> httpx.Response:
    return client.put(f"/lists/{digest(body)}", content=body, **more)


def match(client: httpx.Client, query: str = "", headers: Any = None, **body: Any) -> httpx.Response:
    return client.post(f"/match{query}", json={"descriptor": GOOD, **body}, headers=headers)


def test_a_list_is_put_once_and_then_named(client: httpx.Client) -> None:
    members = [member("first", lambda _: PROBE), member(2, as_base64), member(3, lambda _: None)]
    body = text(members)
    assert match(client, enrolled_ref=digest(body)).json()["code"] == "unknown_list"
    first = put(client, body)
    assert first.status_code == 201
    counts = {"members": 3, "descriptors": 2, "skipped": [], "skipped_count": 0, "expires_in": 3600}
    assert first.json() == {"digest": digest(body), **counts}
    assert put(client, body).status_code == 200
    assert client.head(f"/lists/{digest(body)}").status_code == 200
    for query in ("", "?explain=true"):
        assert match(client, query, enrolled_ref=digest(body)).json() == match(client, query, enrolled=members).json()
    assert match(client, enrolled_ref=digest(body)).json() == {"regNo": 2, "name": "Member 2"}
    gone = client.delete(f"/lists/{digest(body)}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert match(client, enrolled_ref=digest(body)).status_code == 404
    assert client.head(f"/lists/{digest(body)}").status_code == 404
    assert client.delete(f"/lists/{digest(body)}").json()["code"] == "unknown_list"


def test_a_list_of_several_models_answers_every_probe_like_the_list_itself(client: httpx.Client) -> None:
    mixtures = Mixtures(11)
    members = mixtures.body(8, entries=10)["enrolled"]
    body = text(members)
    assert put(client, body).json()["members"] == 10
    answers = []
    for person in range(6):
        for names in ([DLIB], [RETAIL], [RETAIL, DLIB]):
            probe = mixtures.photos(person, 1, names, first=20)
            expected = several_models.answer({**probe, "enrolled": members})
            expected = {name: expected[name] for name in ("regNo", "name", "match") if name in expected}
            # The list itself has more than 64 KiB: from the second request on it comes from the cache.
            for sent in ({"enrolled_ref": digest(body)}, {"enrolled": members}, {"enrolled": members}):
                answers.append(client.post("/match", json={**probe, **sent}).json())
                assert answers[-1] == expected
    assert {"match": False} in answers
    assert len({answer.get("regNo") for answer in answers}) > 2


def test_a_list_belongs_to_the_key_that_put_it(client: httpx.Client) -> None:
    body = text([member("mine")])
    put(client, body)
    assert match(client, headers=OTHER, enrolled_ref=digest(body)).json()["code"] == "unknown_list"
    assert client.head(f"/lists/{digest(body)}", headers=OTHER).status_code == 404
    assert client.delete(f"/lists/{digest(body)}", headers=OTHER).status_code == 404
    assert put(client, body, headers=OTHER).status_code == 201
    assert client.delete(f"/lists/{digest(body)}", headers=OTHER).status_code == 204
    assert match(client, enrolled_ref=digest(body)).json()["regNo"] == "mine"
    assert client.head(f"/lists/{digest(body)}", headers={"X-API-Key": "wrong"}).status_code == 401


def test_what_is_not_such_a_list_is_refused_and_not_kept(client: httpx.Client) -> None:
    body = text([member(1)])
    wrong = client.put(f"/lists/{digest(b'another')}", content=body)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert client.head(f"/lists/{digest(b'another')}").status_code == 404
    for bad, status, code in (
        (b"", 400, "bad_request"),
        (b"[", 400, "bad_request"),
        (b'{"enrolled": []}', 422, "invalid_request"),
        (b'[], "enrolled": []', 400, "bad_request"),
        (text([member(1, lambda numbers: numbers[1:])]), 422, "invalid_descriptor"),
        (b"[" + b"1," * LIST_MEMORY + b"1]", 413, "too_large"),
        (text([member(i) for i in range(1000)]), 413, "too_large"),
    ):
        answer = put(client, bad)
        assert (answer.status_code, answer.json()["code"]) == (status, code), bad[:50]
        assert client.head(f"/lists/{digest(bad)}").status_code == 404
    for name in ("sha256-" + "0" * 63, "sha256-" + "A" * 64, "md5-" + "0" * 64, "x"):
        assert client.put(f"/lists/{name}", content=body).json()["field"] == "digest"
    assert match(client, enrolled_ref=digest(body), enrolled=[]).json()["field"] == "enrolled_ref"
    assert match(client, enrolled_ref=5).json()["field"] == "enrolled_ref"


def test_invalid_members_are_left_out_and_named(client: httpx.Client) -> None:
    members = [*([{"regNo": 8, "descriptor": GOOD[1:]}] * 150), member(2)]
    body = text(members)
    refused = put(client, body).json()
    assert (refused["code"], refused["field"]) == ("invalid_descriptor", "enrolled[0].descriptor")
    kept = put(client, body, params={"skip_invalid": True}).json()
    assert (kept["members"], kept["descriptors"], kept["skipped_count"], len(kept["skipped"])) == (1, 1, 150, 100)
    named = {"index": 99, "regNo": 8, "field": "enrolled[99].descriptor", "code": "invalid_descriptor"}
    assert kept["skipped"][99] == named
    assert match(client, enrolled_ref=digest(body)).json() == {"regNo": 2, "name": "Member 2"}
    for list_or_reference in ({"enrolled": members}, {"enrolled_ref": digest(body)}):
        for _ in range(2):  # the second time it comes from the cache
            answer = match(client, "?skip_invalid=true", **list_or_reference).json()
            assert (answer["regNo"], answer["skipped_count"], answer["skipped"][99]) == (2, 150, named)
    assert match(client, enrolled=members).status_code == 422  # although it is cached without these members
    assert put(client, body).status_code == 422


def test_a_list_is_read_for_the_model_that_the_probe_names(client: httpx.Client) -> None:
    numbers = [*GOOD, *GOOD, *GOOD, *GOOD]
    members = [{"regNo": 1, "name": "x", "descriptor": numbers}]
    body, model = text(members), "insightface-pack-0123abcd"
    assert put(client, body).json()["code"] == "invalid_descriptor"
    assert put(client, body, params={"model": model}).status_code == 201
    asked: dict[str, Any] = {"descriptor": numbers, "model": model, "enrolled_ref": digest(body)}
    assert client.post("/match", json=asked).json() == {"regNo": 1, "name": "x"}
    small = text([member(1)])
    put(client, small)
    for _ in range(2):
        answer = match(client, "?explain=true", model="faceapi-resnet-v1", enrolled_ref=digest(small)).json()
        assert (answer["regNo"], answer["model"]) == (1, "faceapi-resnet-v1")
    assert put(client, small, params={"model": "unknown"}).json()["field"] == "model"


def test_one_key_cannot_push_out_the_list_of_another(client: httpx.Client) -> None:
    mine = text([member("mine")])
    put(client, mine, headers=OTHER)
    bodies = [text([member(f"{i}", as_base64) for i in range(j, j + 300)]) for j in range(12)]
    for body in bodies:
        assert put(client, body).status_code == 201
    kept = [client.head(f"/lists/{digest(body)}").status_code == 200 for body in bodies]
    assert kept == sorted(kept)  # the last ones
    assert 0 < sum(kept) < 12
    assert match(client, headers=OTHER, enrolled_ref=digest(mine)).json()["regNo"] == "mine"
    metrics = client.get("/metrics").text
    (used,) = (line.split()[1] for line in metrics.splitlines() if line.startswith("face128_cached_list_bytes "))
    assert 0 < float(used) <= LIST_MEMORY


def test_many_clients_at_once_never_see_the_list_of_another(client: httpx.Client) -> None:
    """Two owners put, use and drop lists whose members carry the owner's name."""

    def use(owner: str) -> None:
        chance = random.Random(owner)
        headers = {"X-API-Key": KEYS[owner[:3]]}
        for _ in range(40):
            members = [
                {"regNo": f"{owner[:3]}-{i}", "name": None, "descriptor": GOOD} for i in range(chance.randint(1, 3))
            ]
            body = text(members)
            common = text([member("of both")])  # the same bytes, so the same digest, for all owners
            action = chance.choice(["put", "match", "drop", "put common", "drop common"])
            if action == "put":
                assert put(client, body, headers=headers).status_code in (200, 201)
            elif action == "put common":
                assert put(client, common, headers=headers).status_code in (200, 201)
            elif action == "drop":
                assert client.delete(f"/lists/{digest(body)}", headers=headers).status_code in (204, 404)
            elif action == "drop common":
                assert client.delete(f"/lists/{digest(common)}", headers=headers).status_code in (204, 404)
            answer = match(client, headers=headers, enrolled_ref=digest(body))
            assert answer.status_code == 404 or answer.json()["regNo"] == f"{owner[:3]}-0"
            foreign = text([{**each, "regNo": each["regNo"].replace(owner[:3], "xyz")} for each in members])
            assert match(client, headers=headers, enrolled_ref=digest(foreign)).status_code == 404

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, ["one-a", "two-a", "one-b", "two-b", "one-c", "two-c"]))


def test_a_list_that_is_not_used_is_forgotten() -> None:
    with serving(FACE128_ENGINES="fake", FACE128_LIST_SECONDS="0.5") as client:
        body = text([member(1)])
        assert put(client, body).json()["expires_in"] == 0.5
        assert client.head(f"/lists/{digest(body)}").status_code == 200

        def cached_lists() -> float:
            metrics = client.get("/metrics").text
            return float(
                next(line.split()[1] for line in metrics.splitlines() if line.startswith("face128_cached_lists "))
            )

        until(lambda: cached_lists() == 0)  # by itself: nobody asks for the list
        assert match(client, enrolled_ref=digest(body)).json()["code"] == "unknown_list"
