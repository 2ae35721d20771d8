"""GET, PATCH /people and merging, over HTTP; what is agreed with a person on all ways in and out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fake_photos import create_record, fake_photo
from serving import serving

LATER = "2099-01-31T00:00:00Z"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake") as client:
        yield client


def enrol(
    client: httpx.Client, user_id: str, *seeds: int, of: int = 0, query: str = "", **fields: str
) -> httpx.Response:
    """With a photo of each seed; or several photos of one person, the seed ``of``."""
    photos = [fake_photo(of, seed) if of else fake_photo(seed) for seed in seeds]
    files = [("files", each) for each in photos]
    return client.post(f"/enroll_faces/{user_id}{query}", files=files, data={"name": f"Name of {user_id}", **fields})


def person(client: httpx.Client, user_id: str) -> dict[str, Any]:
    answer = client.get(f"/people/{user_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def matched(client: httpx.Client, seed: int) -> str | None:
    answer = client.post("/match_face", files={"image": fake_photo(seed)})
    found = answer.json().get("user_id")
    return None if found is None else str(found)


def test_terms_come_in_with_an_enrolment_and_out_with_the_person(client: httpx.Client) -> None:
    local = "2099-01-31T02:00:00+02:00"
    assert enrol(client, "1", 100, expires_at=local, consent=" form 12 ").status_code == 200
    found = person(client, "1")
    assert found | {"photos": 0} == {
        "user_id": "1",
        "regNo": "1",
        "name": "Name of 1",
        "photos": 0,
        "linked": [],
        "expires_at": LATER,
        "consent": "form 12",
    }
    (photo,) = found["photos"]
    assert photo.keys() == {"id", "model", "created_at", "metadata", "quality"}
    assert "descriptor" not in str(found)
    # A further photo changes only what it names; replacing the photos changes nothing.
    assert enrol(client, "1", 101, query="?force=true", consent="form 13").status_code == 200
    assert (person(client, "1")["expires_at"], person(client, "1")["consent"]) == (LATER, "form 13")
    assert enrol(client, "1", 102, query="?replace=true").status_code == 200
    found = person(client, "1")
    assert (found["expires_at"], found["consent"], len(found["photos"])) == (LATER, "form 13", 1)


def test_a_record_has_its_terms_where_it_is_created_read_and_listed(client: httpx.Client) -> None:
    answer = create_record(client, fake_photo(200), "Record Holder", expires_at=LATER, consent="form 20")
    record = answer.json()["record"]
    assert (record["expires_at"], record["consent"]) == (LATER, "form 20")
    # The photo that is sent again is the same record, with what is agreed now.
    again = create_record(client, fake_photo(200), "Record Holder", consent="form 21").json()["record"]
    assert (again["id"], again["expires_at"], again["consent"]) == (record["id"], LATER, "form 21")
    assert client.get(f"/records/{record['id']}").json()["consent"] == "form 21"
    listed = client.get("/records?limit=1000").json()["records"]
    assert [each["consent"] for each in listed if each["id"] == record["id"]] == ["form 21"]
    assert person(client, record["id"])["consent"] == "form 21"


BAD_TERMS = [
    ("expires_at", "2099-01-31"),
    ("expires_at", "2099-01-31T00:00:00"),
    ("expires_at", "tomorrow"),
    ("expires_at", "9999-12-31T23:59:59-12:00"),
    ("expires_at", "2026-01-31T00:00:00Z"),
    ("consent", "x" * 501),
    ("consent", "two\nlines"),
]


@pytest.mark.parametrize(("field", "value"), BAD_TERMS)
def test_bad_terms_are_refused_everywhere_and_change_nothing(client: httpx.Client, field: str, value: str) -> None:
    assert enrol(client, "2", 300, consent="kept").status_code == 200
    for answer in (
        enrol(client, "2", 301, query="?force=true", **{field: value}),
        create_record(client, fake_photo(302), "Nobody", **{field: value}),
        client.patch("/people/2", json={field: value, "name": "Other"}),
    ):
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", field)
    found = person(client, "2")
    assert (found["consent"], found["name"], len(found["photos"])) == ("kept", "Name of 2", 1)
    assert matched(client, 302) is None


def test_a_person_is_renamed_and_their_terms_are_changed_and_removed(client: httpx.Client) -> None:
    enrol(client, "3/a b", 400)
    changed = client.patch("/people/3%2Fa%20b", json={"name": " New Name ", "expires_at": LATER, "consent": "form 3"})
    assert changed.status_code == 200
    assert changed.json() == person(client, "3/a b")
    assert changed.json()["name"] == "New Name"
    assert client.post("/match_face", files={"image": fake_photo(400)}).json()["name"] == "New Name"
    left = client.patch("/people/3%2Fa%20b", json={"expires_at": None}).json()
    assert (left.get("expires_at"), left["consent"], left["name"]) == (None, "form 3", "New Name")
    assert "consent" not in client.patch("/people/3%2Fa%20b", json={"consent": None}).json()


BAD_CHANGES: list[tuple[Any, int]] = [
    ([], 422),
    ({}, 422),
    ({"nmae": "x"}, 422),
    ({"name": None}, 422),
    ({"name": "  "}, 422),
    ({"name": "x" * 256}, 422),
    ({"consent": 5}, 422),
    ({"expires_at": 5}, 422),
    ({"expires_at": True}, 422),
]


@pytest.mark.parametrize(("body", "status"), BAD_CHANGES)
def test_bad_changes_are_refused(client: httpx.Client, body: Any, status: int) -> None:
    enrol(client, "4", 500)
    before = person(client, "4")
    answer = client.patch("/people/4", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, "invalid_request")
    assert person(client, "4") == before
    assert client.patch("/people/nobody", json={"name": "x"}).status_code == 404


def test_people_are_paged_and_searched() -> None:
    with serving(FACE128_ENGINES="fake") as client:
        assert client.get("/people").json() == client.get("/people/").json() == {"people": [], "next": None}
        for number in range(7):
            enrol(client, f"{number}", 600 + number, name="Ärla" if number in (2, 5) else f"Bo {number}")
        enrol(client, "5", 705, name="Ärla", query="?force=true", consent="form 5")
        everybody = client.get("/people").json()
        assert [(each["user_id"], each["photos"]) for each in everybody["people"]] == [
            (str(number), 1 + (number == 5)) for number in range(7)
        ]
        assert everybody["people"][5]["consent"] == "form 5"
        assert everybody["next"] is None
        walked: list[Any] = []
        after: str | None = None
        for _ in range(4):
            page = client.get("/people", params={"limit": 2} | ({"after": after} if after else {})).json()
            walked += page["people"]
            after = page["next"]
        assert (walked, after) == (everybody["people"], None)
        for q, found in (("ärL", ["2", "5"]), ("o 3", ["3"]), ("6", ["6"]), ("nobody", [])):
            assert [each["user_id"] for each in client.get("/people", params={"q": q}).json()["people"]] == found
        first = client.get("/people", params={"q": "ärla", "limit": 1}).json()
        assert [each["user_id"] for each in first["people"]] == ["2"]
        second = client.get("/people", params={"q": "ärla", "limit": 1, "after": first["next"]}).json()
        assert ([each["user_id"] for each in second["people"]], second["next"]) == (["5"], None)


def test_two_people_become_one(client: httpx.Client) -> None:
    enrol(client, "7", 1, 2, of=800, consent="form 7", expires_at=LATER)
    enrol(client, "8", 3, 4, 5, of=800, query="?force=true", reg_no_type="number")
    before = {photo["id"]: photo for user_id in "78" for photo in person(client, user_id)["photos"]}
    answer = client.post("/people/7/merge", json={"into": "8"})
    assert answer.json() == {"status": "success", "faces_moved": 2}
    one = person(client, "8")
    assert {photo["id"]: photo for photo in one["photos"]} == before
    assert (one["name"], one["regNo"], one["consent"]) == ("Name of 8", 8, "form 7")
    assert "expires_at" not in one
    assert client.get("/people/7").status_code == 404
    assert matched(client, 800) == "8"
    # The photo of the one who is no more is not taken for one that is enrolled already.
    assert enrol(client, "7", 1, of=800, query="?force=true").json()["faces_stored"] == 1
    assert len(person(client, "7")["photos"]) == 1


def test_a_merge_with_nobody_or_oneself_is_refused(client: httpx.Client) -> None:
    enrol(client, "9", 900)
    before = person(client, "9")
    for path, body, status in (
        ("/people/9/merge", {"into": "nobody"}, 404),
        ("/people/nobody/merge", {"into": "9"}, 404),
        ("/people/9/merge", {"into": "9"}, 422),
        ("/people/9/merge", {"into": 9}, 422),
        ("/people/9/merge", {}, 422),
    ):
        assert client.post(path, json=body).status_code == status
    assert person(client, "9") == before


def test_without_consent_nobody_is_enrolled_where_it_is_required() -> None:
    with serving(FACE128_ENGINES="fake", FACE128_REQUIRE_CONSENT="1") as client:
        for refused in (enrol(client, "1", 10), create_record(client, fake_photo(11))):
            assert (refused.status_code, refused.json()["code"]) == (422, "consent_required")
        assert client.get("/people").json()["people"] == []
        assert enrol(client, "1", 10, consent="form 1").status_code == 200
        assert enrol(client, "1", 12, query="?force=true").status_code == 200  # it is known
        assert enrol(client, "1", 13, query="?replace=true&force=true").status_code == 200
        refused = client.patch("/people/1", json={"consent": None})
        assert (refused.status_code, refused.json()["code"]) == (422, "consent_required")
        client.delete("/enroll_faces/1")
        assert enrol(client, "1", 10).json()["code"] == "consent_required"  # it went with them


def test_who_is_recognised_has_a_last_day_where_decisions_are_kept() -> None:
    with serving(FACE128_ENGINES="fake", FACE128_DECISION_LOG_DAYS="30", FACE128_INACTIVE_DAYS="90") as client:
        enrol(client, "1", 10, consent="form 1")
        enrol(client, "2", 11)
        before = datetime.now(UTC).date()
        assert matched(client, 10) == "1"
        assert matched(client, 12) is None
        days = {str(before), str(datetime.now(UTC).date())}
        assert person(client, "1")["last_seen"] in days
        assert person(client, "1")["consent"] == "form 1"
        assert "last_seen" not in person(client, "2")
