"""POST /verify/{user_id} beyond the contract's examples: any user_id, every form of body, keys, both engines."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fake_photos import create_record, fake_photo
from serving import photo, serving

from face128.api_keys import key_from_secret

ME, OTHER = fake_photo(1), fake_photo(2)
SECRET, NO_MATCH = "m" * 40, "e" * 40
KEYS = ",".join(key_from_secret(scope, each, scope).entry for scope, each in (("match", SECRET), ("encode", NO_MATCH)))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake", FACE128_TEMPLATE="nearest") as client:
        yield client


def enrol(client: httpx.Client, user_id: str, image: bytes = ME, **fields: str) -> None:
    path = f"/enroll_faces/{quote(user_id, safe='')}?force=true"
    response = client.post(path, files={"files": image}, data={"name": "John Doe", **fields})
    assert response.status_code == 200, response.text


def verify(client: httpx.Client, user_id: str, image: bytes = ME, **fields: str) -> httpx.Response:
    return client.post(f"/verify/{quote(user_id, safe='')}", files={"image": image}, data=fields)


@pytest.mark.parametrize("user_id", ["7", "a/b", "é ü", "王😀", "../x", "%41", "1e3", "12.50"])
def test_any_user_id_that_can_be_enrolled_can_be_verified(client: httpx.Client, user_id: str) -> None:
    enrol(client, user_id)
    yes = {"user_id": user_id, "name": "John Doe", "distance": 0, "threshold": 0.38, "model": "fake"}
    assert verify(client, user_id).json() == {"verified": True, **yes}
    no = verify(client, user_id, OTHER).json()
    assert no.pop("distance") > 0.38
    assert no == {"verified": False, **{name: value for name, value in yes.items() if name != "distance"}}
    client.delete(f"/enroll_faces/{quote(user_id, safe='')}")
    gone = verify(client, user_id)
    assert (gone.status_code, gone.json()["code"], gone.json()["verified"]) == (404, "not_found", False)


def test_a_number_is_verified_by_its_digits_and_a_record_by_its_id(client: httpx.Client) -> None:
    enrol(client, "1029", reg_no_type="number")
    assert verify(client, "1029").json()["user_id"] == "1029"
    record = create_record(client, OTHER, "Jane Smith").json()["record"]
    found = verify(client, record["id"], OTHER).json()
    assert (found["verified"], found["user_id"], found["name"]) == (True, record["id"], "Jane Smith")
    assert create_record(client, fake_photo(3), "Jane Smith", "?force=true").status_code == 200
    assert verify(client, record["id"], fake_photo(3)).json()["distance"] == 0  # the same person's


@pytest.mark.parametrize("path", ["/verify/M%FCller", "/verify/%ED%A0%BD", "/verify/a%00b", f"/verify/{'x' * 256}"])
def test_what_is_no_user_id_is_refused(client: httpx.Client, path: str) -> None:
    response = client.post(path, files={"image": ME})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert (response.json()["field"], response.json()["verified"]) == ("user_id", False)


def test_a_photo_may_come_in_each_form(client: httpx.Client) -> None:
    enrol(client, "forms")
    text = base64.b64encode(ME).decode()
    answers = [
        *(client.post("/verify/forms", files={field: ME}) for field in ("image", "images", "file", "files")),
        client.post("/verify/forms", files={"image": ("", ME)}),
        client.post("/verify/forms", json={"image_base64": text}),
        client.post("/verify/forms", json={"image_base64": f"data:image/png;base64,{text}", "descriptor": None}),
    ]
    assert [answer.json().get("verified") for answer in answers] == [True] * len(answers)
    distance = verify(client, "forms", OTHER).json()["distance"]
    for threshold, verified in ((str(distance), True), (str(distance - 1e-9), False), ("", False)):
        answer = verify(client, "forms", OTHER, threshold=threshold).json()
        assert (answer["verified"], answer["threshold"]) == (verified, float(threshold or 0.38))
    body = {"image_base64": base64.b64encode(OTHER).decode(), "threshold": distance}
    assert client.post("/verify/forms", json=body).json()["verified"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"threshold": 3}, "bad_request"),
        ({"image_base64": "", "threshold": 1}, "bad_image"),
        ({"image_base64": 5}, "bad_request"),
        ({"descriptor": [0.0] * 128, "threshold": "x"}, "invalid_request"),
        ({"descriptor": [0.0] * 128, "threshold": True}, "invalid_request"),
        ({"descriptor": [0.0] * 128, "threshold": -1}, "invalid_request"),
        ({"descriptor": [1e308] * 128}, "model_mismatch"),
        ({"descriptor": [0.0] * 128, "model": ["x"]}, "invalid_request"),
        ({"descriptor": []}, "invalid_descriptor"),
        ({"descriptor": {}}, "invalid_descriptor"),
        ([], "bad_request"),
        ("text", "bad_request"),
        (None, "bad_request"),
    ],
)
def test_a_body_that_is_wrong_is_refused_and_says_not_verified(client: httpx.Client, body: object, code: str) -> None:
    enrol(client, "wrong")  # by the fake engine, whose model no descriptor can name
    response = client.post("/verify/wrong", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (response.json()["code"], response.json()["verified"]) == (code, False), response.text


def test_a_form_without_a_photo_or_with_two_is_refused(client: httpx.Client) -> None:
    for files in ([("x", ME)], [("image", ME), ("file", ME)]):
        response = client.post("/verify/1029", files=files)
        assert (response.status_code, response.json()["code"]) == (400, "bad_request")


def test_it_needs_the_scope_match(tmp_path: Path) -> None:
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=KEYS) as client:
        for key, status, code in (
            (None, 401, "unauthorized"),
            (NO_MATCH, 403, "forbidden"),
            (SECRET, 404, "not_found"),
        ):
            headers = {"X-API-Key": key} if key else {}
            response = client.post("/verify/44", files={"image": ME}, headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code)
            assert status != 404 or response.json()["verified"] is False


def test_with_512_numbers_the_threshold_is_that_model_s(insight_service: httpx.Client) -> None:
    client = insight_service
    client.post("/enroll_faces/44", files={"files": photo("obama-2009.jpg")}, data={"name": "Barack Obama"})
    try:
        same = verify(client, "44", photo("obama-2012.jpg")).json()
        other = verify(client, "44", photo("biden-2010.jpg")).json()
        assert (same["verified"], other["verified"], same["threshold"]) == (True, False, 0.45)
        probe = client.post("/encode-image", files={"image": photo("obama-2012.jpg")}).json()
        asked = {"descriptor": probe["descriptor"], "model": probe["model"]}
        assert client.post("/verify/44", json=asked).json() == same
        del asked["model"]
        assert client.post("/verify/44", json=asked).json()["code"] == "invalid_descriptor"
    finally:
        client.delete("/enroll_faces/44")
