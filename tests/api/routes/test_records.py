"""The records service's endpoints beyond its examples: limits, errors, repeated requests."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_photos import create_record, erase_everybody, fake_photo
from PIL import Image
from serving import photo, serving


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    """With the engine without weights: these tests need no face detection."""
    with serving(FACE128_ENGINES="fake") as client:
        yield client


@pytest.fixture
def client(shared: httpx.Client) -> httpx.Client:
    erase_everybody(shared)
    return shared


def match(client: httpx.Client, image: bytes, **fields: str) -> httpx.Response:
    return client.post("/records/match", files={"image": image}, data=fields)


def test_every_record_is_found_and_the_nearest_stand_first(client: httpx.Client) -> None:
    ids = [create_record(client, fake_photo(seed), f"Person {seed}").json()["record"]["id"] for seed in range(7)]
    answer = match(client, fake_photo(3)).json()
    assert answer["best_match"]["id"] == ids[3]
    assert (answer["best_match"]["distance"], answer["best_match"]["confidence"]) == (0, 1)
    assert len(answer["top_matches"]) == 5
    distances = [one["distance"] for one in answer["top_matches"]]
    assert distances == sorted(distances)
    assert [len(match(client, fake_photo(3), top_k=k).json()["top_matches"]) for k in ("1", "7", "100")] == [1, 7, 7]


def test_embedding_index_and_pages_follow_the_order_of_creation(client: httpx.Client) -> None:
    created = [create_record(client, fake_photo(seed), f"Person {seed}").json()["record"] for seed in range(5)]
    assert [record["embedding_index"] for record in created] == [0, 1, 2, 3, 4]
    client.delete(f"/records/{created[1]['id']}")
    page = client.get("/records?skip=1&limit=2").json()
    assert page["total_count"] == 4
    assert [(one["name"], one["embedding_index"]) for one in page["records"]] == [("Person 2", 1), ("Person 3", 2)]
    assert client.get(f"/records/{created[4]['id']}").json()["embedding_index"] == 3


def test_a_record_that_is_sent_twice_is_answered_as_it_stands(client: httpx.Client) -> None:
    first = create_record(client, fake_photo(1), metadata='{"a": 1}').json()
    assert create_record(client, fake_photo(1), metadata='{"a": 2}').json() == first
    assert client.get("/records").json()["total_count"] == 1


def test_another_persons_face_is_refused_unless_forced(client: httpx.Client) -> None:
    create_record(client, fake_photo(1), "John Doe")
    refusal = create_record(client, fake_photo(1), "Jane Smith")
    assert (refusal.status_code, refusal.json()["name"], refusal.json()["success"]) == (409, "John Doe", False)
    assert create_record(client, fake_photo(1), "Jane Smith", "?force=true").status_code == 200


def test_json_with_base64_works_as_well(client: httpx.Client) -> None:
    body = {"image_base64": base64.b64encode(fake_photo(1)).decode(), "name": "John Doe", "metadata": {"a": [1, None]}}
    assert client.post("/records", json=body).json()["record"]["metadata"] == {"a": [1, None]}
    assert client.post("/records/match", json={**body, "top_k": 1, "threshold": 0.1}).json()["recognized"] is True


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\tb"}, "name"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": "{"}, "metadata"),
        ({"metadata": '{"a": NaN}'}, "metadata"),
        ({"metadata": '{"a": "%s"}' % ("x" * 20_000)}, "metadata"),
        ({"metadata": '{"a": -1e999}'}, "metadata"),
        ({"metadata": '{"a": [1%s]}' % ("0" * 400)}, "metadata"),
        ({"metadata": '{"a": [1%s]}' % ("0" * 5000)}, "metadata"),
        ({"metadata": '{"a": 1, "a": 2}'}, "metadata"),
        ({"metadata": f'{{"a": {"[" * 201}1{"]" * 201}}}'}, "metadata"),
        ({"metadata": f'{{"a": {"[" * 9000}1{"]" * 9000}}}'}, "metadata"),
    ],
)
def test_a_field_that_cannot_be_stored_is_named(client: httpx.Client, fields: dict[str, str], field: str) -> None:
    answer = create_record(client, fake_photo(1), **fields)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", field)


HUGE = "1" + "0" * 400


def test_bounds_of_a_search_are_kept(client: httpx.Client) -> None:
    numbers = ["0", "1.5", "x", HUGE, "1" + "0" * 5000, "1e999", "nan", "-inf"]
    for field, value in [
        *(("top_k", each) for each in numbers),
        *(("threshold", each) for each in ["3", *numbers[3:]]),
    ]:
        answer = match(client, fake_photo(1), **{field: value})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        text = f'{{"image_base64": "{base64.b64encode(fake_photo(1)).decode()}", "{field}": {value}}}'
        if value not in ("x", "nan", "-inf"):
            answer = client.post("/records/match", content=text, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_bounds_of_a_page_are_kept(client: httpx.Client) -> None:
    for field, values in (("skip", ["-1"]), ("limit", ["0"])):
        for value in (*values, "99999999999999999999", HUGE, "1" + "0" * 5000, "1e999", "nan", "%FF", "x"):
            answer = client.get(f"/records?{field}={value}")
            assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_more_than_an_answer_holds_is_answered_with_as_many(client: httpx.Client) -> None:
    """The records service has no upper bounds, so that its clients may ask for all."""
    create_record(client, fake_photo(1))
    for limit in ("1000", "1001", str(2**31 - 1)):
        assert len(client.get(f"/records?limit={limit}").json()["records"]) == 1
    assert client.get(f"/records?skip={2**31 - 1}").json() == {"total_count": 1, "records": []}
    for top_k in ("101", "1e6", str(2**31 - 1)):
        assert len(match(client, fake_photo(1), top_k=top_k).json()["top_matches"]) == 1


def test_a_bad_file_is_400_and_no_face_is_422(client: httpx.Client) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (32, 32)).save(plain, "PNG")
    for send, flag in ((create_record, "success"), (match, "face_detected")):
        for image, status, code in (
            (b"", 400, "bad_image"),
            (fake_photo(1)[:90], 400, "bad_image"),
            (b"%PDF-1.7 no photo", 400, "bad_image"),
            (plain.getvalue(), 422, "no_face"),
        ):
            answer = send(client, image)
            assert (answer.status_code, answer.json()["code"], answer.json()[flag]) == (status, code, False)


@pytest.mark.parametrize("identifier", ["abc123", "é", "%00", "%FF", "x" * 500])
def test_a_record_that_is_not_there_is_404(client: httpx.Client, identifier: str) -> None:
    for method in ("GET", "DELETE"):
        answer = client.request(method, f"/records/{identifier}")
        assert answer.status_code == 404
        assert answer.json() == {"error": "There is no such record.", "code": "not_found"}


def test_match_without_enrolled_asks_the_gallery(either_service: httpx.Client) -> None:
    service = either_service
    stored = create_record(service, photo("obama-2009.jpg"), "Barack Obama").json()["record"]
    probe = service.post("/encode-image", files={"image": photo("obama-2012.jpg")}).json()
    asked = {"descriptor": probe["descriptor"], "model": probe["model"]}
    enrolled = service.post("/encode-image", files={"image": photo("obama-2009.jpg")}).json()["descriptor"]
    member = {"regNo": stored["id"], "name": "Barack Obama", "descriptor": enrolled}
    for query in ("", "?explain=true"):
        posted: dict[str, Any] = service.post(f"/match{query}", json={**asked, "enrolled": [member]}).json()
        assert posted["regNo"] == stored["id"]
        assert service.post(f"/match{query}", json=asked).json() == posted
    assert service.post("/match", json={**asked, "threshold": 0.01}).json() == {"match": False}
    service.delete(f"/records/{stored['id']}")
    assert service.post("/match", json=asked).json() == {"match": False}
