"""Which collection a request is about: its key's, or the one that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import face128
from fake_photos import fake_photo
from serving import serving

from face128.api_keys import key_from_secret

SECRETS = {name: f"the-key-of-{name}-{'x' * 30}" for name in ("site-a", "site-b", "any")}
COLLECTIONS = ("", "site-a", "site-b", "site-c")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[httpx.Client]:
    """One person in each of four collections, all with one photo and one id."""
    bound = {"site-a": "site-a", "site-b": "site-b", "any": None}
    entries = [key_from_secret(name, SECRETS[name], None, collection).entry for name, collection in bound.items()]
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(data), FACE128_API_KEYS=",".join(entries)) as client:
        for name in COLLECTIONS:
            enrolled = client.post(
                "/enroll_faces/7",
                headers=key("any") | {"X-Face-Collection": name},
                files={"image": fake_photo(1)},
                data={"name": f"of {name or 'all'}"},
            )
            assert enrolled.status_code == 200, enrolled.text
        yield client


def key(name: str) -> dict[str, str]:
    return {"X-API-Key": SECRETS[name]}


def found(client: httpx.Client, headers: dict[str, str], query: str = "") -> tuple[int, str | None]:
    answer = client.post(f"/match_face{query}", headers=headers, files={"image": fake_photo(1)})
    return answer.status_code, answer.json().get("name")


def test_the_header_or_the_parameter_names_the_collection(service: httpx.Client) -> None:
    assert found(service, key("any")) == (200, "of all")
    for name in COLLECTIONS[1:]:
        assert found(service, key("any") | {"X-Face-Collection": name}) == (200, f"of {name}")
        assert found(service, key("any"), f"?collection={name}") == (200, f"of {name}")
        both = found(service, key("any") | {"X-Face-Collection": name}, f"?collection={name}&explain=true")
        assert both == (200, f"of {name}")
    assert found(service, key("any") | {"X-Face-Collection": ""}, "?collection=") == (200, "of all")
    assert found(service, key("any"), "?collection=SITE-A") == (200, None)  # nobody is enrolled there


def test_a_bound_key_has_its_collection_and_no_other(service: httpx.Client) -> None:
    assert found(service, key("site-a")) == (200, "of site-a")
    assert found(service, key("site-a"), "?collection=site-a") == (200, "of site-a")
    for path, method in (("/records", "GET"), ("/match", "POST"), ("/match_face", "POST"), ("/encode-image", "POST")):
        refused = service.request(method, f"{path}?collection=site-b", headers=key("site-a"), json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["field"] == "collection"
        assert "site-a" not in refused.text
    assert refused.json()["face_detected"] is False  # a client of an older service recognises the refusal
    answer = service.post("/match_face", headers=key("site-a") | {"X-Face-Collection": "site-b"}, content=b"")
    assert answer.json()["status"] == "access_denied"


@pytest.mark.parametrize(
    "query", ["?collection=a%20b", "?collection=" + "x" * 65, "?collection=%C3%A4", "?collection=a'"]
)
def test_a_name_that_is_none_is_refused(service: httpx.Client, query: str) -> None:
    answer = service.get(f"/records{query}", headers=key("any"))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "collection")


def test_two_names_are_refused(service: httpx.Client) -> None:
    headers = [("X-API-Key", SECRETS["any"]), ("X-Face-Collection", "site-a"), ("X-Face-Collection", "site-b")]
    answers = [
        service.get("/records", headers=headers),
        service.get("/records?collection=site-b", headers=headers[:2]),
        service.get("/records?collection=site-b&collection=site-a", headers=key("any")),
        service.post("/match?collection=site-b&collection=site-a", headers=key("any"), json={"descriptor": [0] * 128}),
    ]
    assert {(answer.status_code, answer.json()["field"]) for answer in answers} == {(422, "collection")}


def test_the_command_line_and_match_without_a_list(service: httpx.Client, data: Path) -> None:
    body = {"descriptor": [0.1] * 128}
    for name in SECRETS:
        member = {"regNo": 8, "name": f"of {name}", "descriptor": [0.1] * 128}
        file = data / "members.json"
        file.write_text(json.dumps([member]))
        options = () if name == "any" else ("--collection", name)
        done = face128("gallery", "import", file, "--force", *options, FACE128_DATA=str(data))
        assert "1 of them new" in done.stdout, done.stderr
        listed = face128("gallery", "list", *options, FACE128_DATA=str(data))
        assert [json.loads(line)["regNo"] for line in listed.stdout.splitlines()] == ["7", 8]
        assert service.post("/match", headers=key(name), json=body).json() == {"regNo": 8, "name": f"of {name}"}
    posted = body | {"enrolled": [{"regNo": 1, "name": "Posted", "descriptor": [0.1] * 128}]}
    assert service.post("/match", headers=key("site-a"), json=posted).json() == {"regNo": 1, "name": "Posted"}
    for name in SECRETS:
        options = () if name == "any" else ("--collection", name)
        assert face128("gallery", "erase", "8", "--yes", *options, FACE128_DATA=str(data)).returncode == 0
        assert service.post("/match", headers=key(name), json=body).json() == {"match": False}
    sizes = face128("gallery", "collections", FACE128_DATA=str(data)).stdout.splitlines()
    assert [json.loads(line) for line in sizes] == [{"collection": name, "faces": 1} for name in COLLECTIONS]
    refused = face128("gallery", "list", "--collection", "a b", FACE128_DATA=str(data))
    assert (refused.returncode, refused.stdout) == (2, "")


def test_who_may_list_the_collections(service: httpx.Client) -> None:
    def listed(name: str, query: str = "") -> dict[str, int]:
        answer = service.get(f"/collections{query}", headers=key(name)).json()
        return {one["collection"]: one["faces"] for one in answer["collections"]}

    assert listed("any") == dict.fromkeys(COLLECTIONS, 1)
    assert listed("any", "?collection=site-c") == {"site-c": 1}
    assert listed("site-a") == {"site-a": 1}


def test_a_bound_key_is_told_nothing_of_the_whole_service(service: httpx.Client) -> None:
    for method, path in (("GET", "/metrics"), ("POST", "/maintenance/rebuild-index"), ("GET", "/ready?details")):
        if method == "GET" and path == "/ready?details" and service.get(path, headers=key("any")).status_code == 422:
            continue
        refused = service.request(method, path, headers=key("site-a"))
        assert (refused.status_code, refused.json()["scope"]) == (403, "admin")


def test_keys_are_made_for_a_collection() -> None:
    made = face128("keys", "new", "backend", "--collection", "site-a")
    entry = made.stdout.split()[-1]
    assert entry.startswith("backend:")
    assert entry.endswith("@site-a")
    assert ":" not in entry.partition(":")[2]  # all scopes that it may have
    refused = face128("keys", "new", "backend", "--collection", "site-a", "--scopes", "match+admin")
    assert refused.returncode == 2
    assert "admin" in refused.stderr
    assert face128("keys", "new", "backend", "--collection", "site a").returncode == 2
