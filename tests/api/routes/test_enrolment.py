"""The door service's endpoints beyond its examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fake_photos import create_record, erase_everybody, fake_photo
from serving import photo, serving


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake") as client:
        yield client


@pytest.fixture
def client(shared: httpx.Client) -> httpx.Client:
    erase_everybody(shared)
    return shared


def enrol(
    client: httpx.Client, user_id: str, *images: bytes, query: str = "", name: str = "John Doe"
) -> httpx.Response:
    files = [("files", (f"{index}.png", image)) for index, image in enumerate(images)]
    return client.post(f"/enroll_faces/{quote(user_id, safe='')}{query}", files=files, data={"name": name})


def stored(answer: httpx.Response) -> int:
    body = answer.json()
    assert body.keys() == {"status", "faces_stored", "quality"}
    assert body["status"] == "success"
    return int(body["faces_stored"])


def match(client: httpx.Client, image: bytes) -> httpx.Response:
    return client.post("/match_face", files={"image": image})


def test_each_of_a_persons_faces_grants_access(client: httpx.Client) -> None:
    photos = [fake_photo(0, number) for number in range(3)]
    assert stored(enrol(client, "user123", *photos)) == 3
    for image in photos:
        granted = {"status": "access_granted", "user_id": "user123", "name": "John Doe"}
        assert match(client, image).json() == granted
    assert match(client, fake_photo(9)).json() == {"status": "access_denied"}


@pytest.mark.parametrize("field", ["files", "images", "file", "image"])
def test_photos_may_come_in_any_of_the_fields(client: httpx.Client, field: str) -> None:
    files = [(field, ("a.png", fake_photo(1))), (field, ("b.png", fake_photo(1, 1)))]
    answer = client.post("/enroll_faces/user123", files=files, data={"name": "John Doe"})
    assert stored(answer) == 2


def test_the_same_request_again_has_the_same_answer_and_stores_nothing(client: httpx.Client) -> None:
    for _ in range(3):
        answer = enrol(client, "user123", fake_photo(1), fake_photo(1, 1), fake_photo(1, 1))
        assert stored(answer) == 2
    assert client.get("/records").json()["total_count"] == 2


def test_four_faces_are_the_maximum_and_replace_makes_room(client: httpx.Client) -> None:
    assert enrol(client, "user123", *map(fake_photo, range(5))).json()["code"] == "too_many_images"
    assert stored(enrol(client, "user123", *(fake_photo(0, photo) for photo in range(4)))) == 4
    assert enrol(client, "user123", fake_photo(0, 4)).json()["code"] == "too_many_images"
    assert enrol(client, "user123", fake_photo(4), query="?replace=true").json()["faces_stored"] == 1
    assert match(client, fake_photo(0)).json() == {"status": "access_denied"}
    assert client.get("/records").json()["total_count"] == 1


def test_one_bad_photo_stores_none_and_is_named(client: httpx.Client) -> None:
    answer = enrol(client, "user123", fake_photo(1), b"GIF89a no image", fake_photo(2))
    assert answer.status_code == 400
    assert {name: answer.json()[name] for name in ("code", "index", "file_name")} == {
        "code": "bad_image",
        "index": 1,
        "file_name": "1.png",
    }
    assert client.get("/records").json()["total_count"] == 0


def test_reg_no_keeps_the_json_type_that_the_enrolment_names() -> None:
    obama, obama_too, biden = "obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"
    with serving() as client:

        def enrol_as(user_id: str, reg_no_type: str | None, name: str) -> httpx.Response:
            data = {"name": "John Doe"} | ({} if reg_no_type is None else {"reg_no_type": reg_no_type})
            return client.post(f"/enroll_faces/{user_id}", files={"files": photo(name)}, data=data)

        def reg_no(name: str) -> object:
            encoded = client.post("/encode-image", files={"image": photo(name)}).json()
            return client.post("/match", json={"descriptor": encoded["descriptor"]}).json()["regNo"]

        assert enrol_as("1000", "number", obama).status_code == 200
        assert reg_no(obama) == 1000
        assert enrol_as("1000", None, obama_too).status_code == 200  # as it is stored
        assert (reg_no(obama), reg_no(obama_too)) == (1000, 1000)
        assert enrol_as("1000", "string", obama_too).status_code == 200  # for all the person's faces
        assert (reg_no(obama), reg_no(obama_too)) == ("1000", "1000")
        assert enrol_as("12.5", "number", biden).status_code == 200
        assert reg_no(biden) == 12.5
        for user_id, wrong in (("007", "number"), ("x", "number"), ("1e5", "number"), ("true", "number"), ("1", "int")):
            refused = enrol_as(user_id, wrong, biden).json()
            assert (refused["code"], refused["field"]) == ("invalid_request", "reg_no_type")


def test_another_persons_face_is_refused_and_says_which_photo(client: httpx.Client) -> None:
    enrol(client, "user123", fake_photo(1))
    answer = enrol(client, "user456", fake_photo(2), fake_photo(1), name="Jane Smith").json()
    assert (answer["code"], answer["user_id"], answer["index"]) == ("duplicate", "user123", 1)
    forced = enrol(client, "user456", fake_photo(2), fake_photo(1), name="Jane Smith", query="?force=true")
    assert forced.json()["faces_stored"] == 2


def test_a_record_and_an_enrolled_face_find_each_other(client: httpx.Client) -> None:
    record = create_record(client, fake_photo(1), "Jane Smith").json()["record"]
    granted = {"status": "access_granted", "user_id": record["id"], "name": "Jane Smith"}
    assert match(client, fake_photo(1)).json() == granted
    enrol(client, "user123", fake_photo(2))
    found = client.post("/records/match", files={"image": fake_photo(2)}).json()["best_match"]
    assert found["name"] == "John Doe"
    assert client.delete(f"/enroll_faces/{record['id']}").json()["faces_deleted"] == 1
    assert client.delete(f"/records/{found['id']}").status_code == 200
    assert client.get("/records").json() == {"total_count": 0, "records": []}


@pytest.mark.parametrize("user_id", ["7", "a/b", "é ü", "王😀", "../x", "%41"])
def test_any_user_id_can_be_enrolled_and_erased(client: httpx.Client, user_id: str) -> None:
    assert enrol(client, user_id, fake_photo(1)).status_code == 200
    assert match(client, fake_photo(1)).json()["user_id"] == user_id
    assert client.delete(f"/enroll_faces/{quote(user_id, safe='')}").json() == {"status": "success", "faces_deleted": 1}
    assert client.delete(f"/enroll_faces/{quote(user_id, safe='')}").status_code == 404


def test_a_missing_field_is_named(client: httpx.Client) -> None:
    assert client.post("/enroll_faces/7", files={"file": fake_photo(1)}).json()["field"] == "name"
    assert client.post("/enroll_faces/7", data={"name": "John Doe"}).status_code == 400
    assert enrol(client, "x" * 256, fake_photo(1)).json()["field"] == "user_id"


def test_errors_of_match_face_say_access_denied(client: httpx.Client) -> None:
    answer = match(client, b"no image")
    assert (answer.status_code, answer.json()["status"]) == (415, "access_denied")


def test_the_gallery_survives_a_restart(tmp_path: Path) -> None:
    for turn in range(2):
        with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
            if turn == 0:
                enrol(client, "user123", fake_photo(1))
            assert match(client, fake_photo(1)).json()["status"] == "access_granted"


def test_without_a_place_to_write_posted_lists_still_match_and_the_gallery_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path / "file" / "data")) as client:
        body = {"descriptor": [0.0] * 128, "enrolled": [{"regNo": 7, "name": "x", "descriptor": [0.0] * 128}]}
        assert client.post("/match", json=body).json() == {"regNo": 7, "name": "x"}
        assert client.post("/encode-image", files={"image": photo("hopper-1984.jpg")}).status_code == 200
        answer = client.post("/match", json={"descriptor": [0.0] * 128})
        assert (answer.status_code, answer.json()["code"]) == (503, "gallery_read_only")
        assert str(tmp_path) not in answer.text
