"""What a service records: every deed with its caller and its request, and decisions where they are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fake_photos import create_record, fake_photo
from serving import serving

from face128.api_keys import SCOPES, key_from_secret
from face128.domain.model_card import DLIB
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage.database import PAUSE_S
from face128.gallery.trail.check import check
from face128.gallery.trail.entry import Entry
from face128.gallery.trail.reading import page

KEYS = {name: name[0] * 40 for name in ("front-desk", "door")}
ENTRIES = ",".join(key_from_secret(name, secret, "+".join(SCOPES)).entry for name, secret in KEYS.items())
ME, OTHER, STRANGER = fake_photo(1), fake_photo(2), fake_photo(3)


class Served:
    def __init__(self, client: httpx.Client, url: str) -> None:
        self.client, self.url = client, url
        self.requests = 0

    def ask(self, key: str, method: str, path: str, **options: Any) -> httpx.Response:
        self.requests += 1
        headers = {"X-API-Key": KEYS[key], "X-Request-ID": f"r{self.requests}", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def enrol(self, user_id: str, image: bytes, query: str = "") -> httpx.Response:
        path = f"/enroll_faces/{user_id}{query}"
        return self.ask("front-desk", "POST", path, files={"files": image}, data={"name": "John Doe"})

    def entries(self, person: str | None = None, last: int = 100) -> list[Entry]:
        """The oldest first."""
        with closing(Gallery(self.url)) as gallery, gallery.database.reading() as connection:
            assert check(connection).faults == []
            return page(connection, last, person=person)[::-1]

    def recorded(self) -> list[tuple[str, str, str]]:
        """The caller, action and result of the last request's entries."""
        found = self.entries()
        return [(entry.actor, entry.action, entry.result) for entry in found if entry.request_id == f"r{self.requests}"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    url = f"sqlite:///{tmp_path_factory.mktemp('trail')}/gallery.sqlite"
    settings = {"FACE128_TRAIL": "1", "FACE128_DECISION_LOG_DAYS": "30", "FACE128_DATABASE_URL": url}
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=ENTRIES, FACE128_TEMPLATE="nearest", **settings) as client:
        served = Served(client, url)
        assert served.enrol("1", ME).status_code == 200
        yield served


def test_every_deed_is_recorded_with_caller_request_and_result(served: Served) -> None:
    started = served.entries()[0]
    assert (started.seq, started.action, started.result) == (1, "trail", "on")
    assert started.actor.startswith("cli:")
    served.enrol("2", OTHER)
    assert served.recorded() == [("front-desk", "enrol", "ok")]
    served.enrol("2", fake_photo(2, 1), "?replace=true")
    assert served.recorded() == [("front-desk", "replace", "ok")]
    served.ask("door", "GET", "/records?limit=1")
    assert served.recorded() == [("door", "list", "ok")]
    found = served.ask("door", "GET", "/records").json()["records"][0]["id"]
    served.ask("front-desk", "GET", f"/records/{found}")
    assert served.recorded() == [("front-desk", "read", "ok")]
    served.ask("door", "GET", "/people?limit=1")
    assert served.recorded() == [("door", "list", "ok")]
    served.ask("door", "GET", "/people/2")
    assert served.recorded() == [("door", "read", "ok")]
    served.ask("door", "POST", "/verify/2", files={"image": fake_photo(2, 1)})
    assert served.recorded() == [("door", "verify", "yes")]
    served.ask("door", "POST", "/verify/2", files={"image": STRANGER})
    assert served.recorded() == [("door", "verify", "no")]
    served.ask("front-desk", "DELETE", "/enroll_faces/2")
    assert served.recorded() == [("front-desk", "erase", "ok")]
    of_person = served.entries("2")
    read = ["list", "list", "list", "read", "verify", "verify"]
    assert [entry.action for entry in of_person] == ["enrol", "replace", *read, "erase"]
    assert json.loads(of_person[-1].details) == {"faces": 1}


def test_nothing_names_anybody(served: Served) -> None:
    create_record(served.client, fake_photo(40), "Vicky T", "?force=true")
    served.ask("front-desk", "POST", "/records", files={"image": fake_photo(40)}, data={"name": "Vicky T"})
    text = repr(served.entries())
    assert "front-desk" in text
    assert "Vicky" not in text
    assert "John" not in text


def test_a_refused_duplicate_is_recorded_about_both(served: Served) -> None:
    refused = served.enrol("7", ME)
    assert (refused.status_code, refused.json()["user_id"]) == (409, "1")
    assert served.recorded() == [("front-desk", "enrol", "duplicate"), ("front-desk", "read", "duplicate")]
    assert [entry.action for entry in served.entries("7") if entry.person != "*"] == ["enrol"]
    assert served.entries("1")[-1].result == "duplicate"


def test_what_did_nothing_is_not_recorded(served: Served) -> None:
    for method, path in (
        ("DELETE", "/enroll_faces/nobody"),
        ("GET", "/records/nobody"),
        ("DELETE", "/records/nobody"),
        ("GET", "/people/nobody"),
    ):
        assert served.ask("door", method, path).status_code == 404
        assert served.recorded() == []
    assert served.ask("door", "POST", "/verify/nobody", files={"image": ME}).status_code == 404
    assert served.recorded() == []


def test_decisions_are_kept_and_told(served: Served) -> None:
    before = served.ask("door", "GET", "/decisions?limit=1").json()["decisions"]
    last = before[0]["id"] if before else 0
    assert served.ask("door", "POST", "/match_face", files={"image": ME}).json()["user_id"] == "1"
    assert served.recorded() == [("door", "match", "yes")]
    assert served.ask("door", "POST", "/match_face", files={"image": STRANGER}).json() == {"status": "access_denied"}
    served.ask("door", "POST", "/records/match", files={"image": STRANGER})
    probe = {"descriptor": [0.25] * 128}
    with closing(Gallery(served.url)) as gallery:  # /match knows no fake model
        face = NewFace(np.full(128, 0.25, np.float32), b"")
        gallery.enrol(Person("Jane", "1029", numeric=True), [face], DLIB)
    assert served.ask("front-desk", "POST", "/match", json=probe).json()["regNo"] == 1029
    listed = {**probe, "enrolled": [{"regNo": 5, "name": "A", "descriptor": probe["descriptor"]}]}
    assert served.ask("door", "POST", "/match", json=listed).json()["regNo"] == 5  # a posted list: not kept
    served.ask("door", "POST", "/verify/1", files={"image": STRANGER})

    answer = served.ask("door", "GET", "/decisions?limit=5")
    kept = [each for each in answer.json()["decisions"] if each["id"] > last]
    assert [(each["kind"], each["user_id"], each["verdict"], each["key"]) for each in kept] == [
        ("verify", "1", "no", "door"),
        ("search", "1029", "yes", "front-desk"),
        ("search", None, "no", "door"),
        ("search", None, "no", "door"),
        ("search", "1", "yes", "door"),
    ]
    assert (kept[1]["distance"], kept[1]["rule"], kept[1]["model"]) == (0, "threshold", DLIB.name)
    assert kept[2]["distance"] > 0.38
    assert set(kept[0]) == {
        *("id", "at", "kind", "user_id", "verdict", "distance"),
        *("stranger_risk", "rule", "model", "key", "request_id"),
    }
    age = datetime.now(UTC) - datetime.fromisoformat(kept[0]["at"])
    assert timedelta() <= age < timedelta(minutes=5)


def test_decisions_are_paged_and_filtered(served: Served) -> None:
    for image in (ME, STRANGER, ME):
        served.ask("door", "POST", "/match_face", files={"image": image})
    everything = served.ask("door", "GET", "/decisions?limit=1000").json()
    assert everything["next"] is None
    ids = [each["id"] for each in everything["decisions"]]
    assert ids == sorted(ids, reverse=True)
    paged: list[int] = []
    query = "?limit=2"
    while True:
        answer = served.ask("door", "GET", f"/decisions{query}").json()
        paged += [each["id"] for each in answer["decisions"]]
        if answer["next"] is None:
            break
        query = f"?limit=2&before={answer['next']}"
    assert paged == ids

    def told(**parameters: str) -> list[dict[str, Any]]:
        answer = served.ask("door", "GET", "/decisions", params={"limit": "1000", **parameters})
        assert answer.status_code == 200, answer.text
        decisions: list[dict[str, Any]] = answer.json()["decisions"]
        return decisions

    for parameters, belongs in (
        ({"verdict": "no"}, lambda each: each["verdict"] == "no"),
        ({"user_id": "1"}, lambda each: each["user_id"] == "1"),
        ({"kind": "verify"}, lambda each: each["kind"] == "verify"),
        ({"user_id": "1", "verdict": "yes"}, lambda each: (each["user_id"], each["verdict"]) == ("1", "yes")),
    ):
        expected = [each for each in everything["decisions"] if belongs(each)]
        assert told(**parameters) == expected
        assert expected
    middle = everything["decisions"][1]["at"]
    assert {each["id"] for each in told(since=middle)} == set(ids[:2])
    assert {each["id"] for each in told(until=middle)} == set(ids[2:])
    for wrong in (
        {"since": "2026-11-30"},
        {"since": "1"},
        {"until": "2026-11-30T00:00:00"},
        {"verdict": "maybe"},
        {"kind": "maybe"},
        {"limit": "0"},
    ):
        assert served.ask("door", "GET", "/decisions", params=wrong).status_code == 422
    assert told(since="0001-01-01T00:00:00+14:00") == told(until="9999-12-31T23:59:59-14:00")
    assert told(since="9999-12-31T23:59:59-14:00") == []


def test_decisions_about_a_person_go_with_them(served: Served) -> None:
    image = fake_photo(9)
    served.enrol("9", image)
    served.ask("door", "POST", "/match_face", files={"image": image})
    served.enrol("9", fake_photo(9, 1), "?replace=true")
    about = served.ask("door", "GET", "/decisions?user_id=9").json()["decisions"]
    assert [each["user_id"] for each in about] == ["9"]  # a new photo keeps them
    served.ask("front-desk", "DELETE", "/enroll_faces/9")
    assert served.ask("door", "GET", "/decisions?user_id=9").json()["decisions"] == []
    with sa.create_engine(served.url).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM decisions WHERE id = :id"), {"id": about[0]["id"]}) == 0


def test_what_cannot_be_recorded_is_not_answered(served: Served) -> None:
    """While another program writes."""
    engine = sa.create_engine(served.url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        refused = [
            served.ask("door", "GET", "/records"),
            served.ask("door", "POST", "/match_face", files={"image": ME}),
            served.ask("door", "POST", "/verify/1", files={"image": ME}),
        ]
        connection.rollback()
    engine.dispose()
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "gallery_busy")] * 3
    assert "user_id" not in refused[1].json()
    time.sleep(PAUSE_S)
    assert served.ask("door", "POST", "/match_face", files={"image": ME}).json()["user_id"] == "1"
