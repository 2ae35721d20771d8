"""JSON bodies with text, numbers and depths that no answer and no database can hold: each is refused by its field."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

import httpx
import pytest
from fake_photos import create_record, fake_photo
from match_bodies import GOOD

JSON = {"Content-Type": "application/json"}
HERE = "the value"
PHOTO = base64.b64encode(fake_photo(1)).decode()
MEMBER = {"regNo": 1029, "name": "Vicky T", "descriptor": GOOD}


def match(**member: Any) -> dict[str, Any]:
    return {"descriptor": GOOD, "enrolled": [MEMBER, {**MEMBER, **member}]}


PLACES: list[tuple[str, str, dict[str, Any]]] = [
    ("/match", "descriptor", {"descriptor": HERE}),
    ("/match", "descriptor", {"descriptor": [*GOOD[1:], HERE]}),
    ("/match", "threshold", match() | {"threshold": HERE}),
    ("/match", "model", match() | {"model": HERE}),
    ("/match", "decision", match() | {"decision": {"rule": HERE}}),
    ("/match", "decision", match() | {"decision": {"rule": "cohort", "alpha": HERE}}),
    ("/match", "enrolled[1].regNo", match(regNo=HERE)),
    ("/match", "enrolled[1].name", match(name=HERE)),
    ("/match", "enrolled[1].descriptor", match(descriptor=HERE)),
    ("/match", "enrolled[1].descriptor", match(descriptor=[*GOOD[1:], HERE])),
    ("/match", "enrolled[1].descriptors", match(descriptors=[GOOD, HERE])),
    ("/compare-faces", "embedding_a", {"embedding_a": HERE, "embedding_b": GOOD}),
    ("/compare-faces", "embedding_b", {"embedding_a": GOOD, "embedding_b": [*GOOD[1:], HERE]}),
    ("/compare-faces", "model", {"embedding_a": GOOD, "embedding_b": GOOD, "model": HERE}),
    ("/batch-extract", "images", {"images": HERE}),
    ("/records", "name", {"image_base64": PHOTO, "name": HERE}),
    ("/records", "metadata", {"image_base64": PHOTO, "name": "x", "metadata": HERE}),
    ("/records", "metadata", {"image_base64": PHOTO, "name": "x", "metadata": {"a": [HERE]}}),
    ("/records/match", "top_k", {"image_base64": PHOTO, "top_k": HERE}),
    ("/records/match", "threshold", {"image_base64": PHOTO, "threshold": HERE}),
    ("/enroll_faces/someone", "name", {"image_base64": PHOTO, "name": HERE}),
]
NOT_UNICODE = [rb'"x\ud83d"', rb'"\udc00"', rb'"\ude00\ud83d"', b'"M\xfcller"', b'"\xed\xa0\xbd"', b'"\xc0\x80"']
NUMBERS = [b"1" + b"0" * 400, b"-1" + b"0" * 400, b"1" + b"0" * 5000, b"1e999", b"-1e999", b"NaN", b"-Infinity"]


def send(client: httpx.Client, path: str, document: Any, value: bytes) -> httpx.Response:
    body = json.dumps(document).encode().replace(json.dumps(HERE).encode(), value)
    return client.post(path, content=body, headers=JSON)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0]}: {place[1]}")
def test_what_no_answer_can_hold_is_refused_by_its_field_and_stores_nothing(
    fake_service: httpx.Client, place: tuple[str, str, dict[str, Any]]
) -> None:
    path, field, document = place
    before = fake_service.get("/records").json()
    for value in [*NOT_UNICODE, *NUMBERS]:
        answer = send(fake_service, path, document, value)
        assert answer.status_code == 422, (value[:20], answer.text)
        named = answer.json()["field"]
        assert named.startswith(field), value[:20]
        assert answer.json().get("regNo", 1029) == 1029
    for value in (b"[" * 100_000, b"[" * 9000 + b"]" * 9000, b'{"a":' * 5000 + b"1" + b"}" * 5000):
        assert send(fake_service, path, document, value).status_code in (400, 422)
    assert fake_service.get("/records").json() == before


def test_a_member_with_half_a_surrogate_pair_is_named(fake_service: httpx.Client) -> None:
    answer = send(fake_service, "/match", match(name=HERE, regNo="a7"), rb'"x\ud83d"')
    assert answer.json() == {
        "error": "The text has half of a surrogate pair, or bytes that are not UTF-8.",
        "code": "invalid_request",
        "field": "enrolled[1].name",
        "regNo": "a7",
    }


@pytest.mark.parametrize("reg_no", ["9" * 308, "-" + "9" * 30, str(2**64), '"\\ud83d\\ude00"', '"\\u0000\\\\ud800"'])
def test_a_reg_no_comes_back_as_it_came(fake_service: httpx.Client, reg_no: str) -> None:
    answer = send(
        fake_service, "/match", {"descriptor": GOOD, "enrolled": [{**MEMBER, "regNo": HERE}]}, reg_no.encode()
    )
    assert answer.status_code == 200
    assert answer.json()["regNo"] == json.loads(reg_no)
    assert reg_no[0] == '"' or f'"regNo":{reg_no},' in answer.text


def test_in_a_batch_a_photo_that_is_no_text_fails_alone(fake_service: httpx.Client) -> None:
    for value in [*NOT_UNICODE, *NUMBERS]:
        answer = send(fake_service, "/batch-extract", {"images": [HERE, PHOTO]}, value).json()
        assert (answer["successful"], answer["failed"], answer["results"][0]["code"]) == (1, 1, "bad_image")


@pytest.mark.parametrize("path", ["/detect", "/verify-face", "/extract-embedding", "/encode-image", "/match_face"])
def test_a_photo_that_is_no_text_is_a_bad_request(fake_service: httpx.Client, path: str) -> None:
    for value in [*NOT_UNICODE, *NUMBERS]:
        assert send(fake_service, path, {"image_base64": HERE}, value).status_code in (400, 422)


def test_a_field_that_stands_twice_is_named(fake_service: httpx.Client) -> None:
    """It could be checked by one reader and stored by another; /match takes the first, as it always says."""
    for path, document, field in (
        ("/records", {"image_base64": PHOTO, "name": "x", HERE: "y"}, "name"),
        ("/records", {"image_base64": PHOTO, "name": "x", "metadata": {"name": 1, HERE: 2}}, "name"),
        ("/compare-faces", {"embedding_a": GOOD, "embedding_b": GOOD, HERE: GOOD}, "embedding_b"),
    ):
        answer = send(fake_service, path, document, json.dumps(field).encode())
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_metadata_of_every_kind_comes_back(fake_service: httpx.Client) -> None:
    nested: Any = 1
    for _ in range(195):
        nested = [nested]
    metadata = {"a": "\x00 \uffff 😀", "": [10**300, -1e-300, None, True], "b": nested}
    created = create_record(fake_service, fake_photo(40), "Somebody", metadata=json.dumps(metadata)).json()["record"]
    assert created["metadata"] == metadata
    assert metadata in [record["metadata"] for record in fake_service.get("/records").json()["records"]]
    found = fake_service.post("/records/match", files={"image": fake_photo(40)}).json()
    assert found["best_match"]["metadata"] == metadata
    fake_service.delete(f"/records/{created['id']}")


def test_headers_and_parameters_may_hold_any_bytes(fake_service: httpx.Client) -> None:
    port = fake_service.base_url.port
    assert port is not None
    body = json.dumps(match()).encode()
    head = b"POST /match?explain=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n"
    for query in (b"0", b"%FF", b"%ED%A0%80", b"%00", b"1" + b"0" * 5000):
        for name in (b"X-API-Key", b"Authorization", b"X-Request-ID", b"Content-Type", b"X-Forwarded-For", b"Origin"):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(head % (query, len(body)) + name + b": \xff\xed\xa0\x80\r\n\r\n" + body)
                with connection.makefile("rb") as stream:
                    status = int(stream.readline().split()[1])
            assert status in ((200, 403) if query == b"0" else (403, 422)), (query[:9], name)
