"""Text that is not Unicode is refused; rows that an older version stored with it are listed, exported and matched."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import face128
from people import add_record, enrol, import_document, photo_descriptor
from serving import photo, serving

from face128.domain.descriptors import to_base64
from face128.domain.model_card import DLIB
from face128.errors import InvalidRequest
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person, stored_metadata

OBAMA, BIDEN, HOPPER = map(photo_descriptor, ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg"))
DAMAGE = (
    ("UPDATE faces SET photo_facts = ? WHERE user_id = 'obama'", '{"adjusted": {"turned": "left"}, "quality": 1}'),
    ("UPDATE faces SET photo_facts = ? WHERE user_id = 'biden'", '{"adjusted'),
    # As an older version stored it, and as another program may have.
    ("UPDATE faces SET metadata = ? WHERE user_id = 'obama'", r'{"note": "\ud83d", "n": 1' + 400 * "0" + "}"),
    ("UPDATE faces SET name = CAST(x'4dfc' AS TEXT), user_id = CAST(? AS TEXT) WHERE user_id = 'biden'", b"M\xfc"),
    ("UPDATE faces SET name = CAST(x'eda0bd' AS TEXT), metadata = CAST(? AS TEXT) WHERE name = 'h'", b'{"a": "\xff"}'),
)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    enrol(gallery, "obama", OBAMA, "Barack Obama")
    enrol(gallery, "biden", BIDEN, "Joe Biden")
    add_record(gallery, "h", HOPPER)
    gallery.close()
    with closing(sqlite3.connect(tmp_path / "gallery.sqlite")) as connection, connection:
        for statement, value in DAMAGE:
            connection.execute(statement, (value,))
    return tmp_path


def test_damaged_rows_are_listed_matched_and_erased(damaged: Path) -> None:
    with serving(FACE128_DATA=str(damaged)) as client:
        records = client.get("/records").json()["records"]
        assert [record["name"] for record in records] == ["Barack Obama", r"M\xfc", r"\xed\xa0\xbd"]
        metadata = [record["metadata"] for record in records]
        assert metadata == [{"note": r"\ud83d", "n": "1" + 400 * "0"}, {}, {"a": "ÿ"}]
        assert client.get(f"/records/{records[0]['id']}").json() == records[0]
        found = client.post("/records/match", files={"image": photo("obama-2012.jpg")}).json()
        assert found["best_match"]["metadata"] == metadata[0]
        assert len(found["top_matches"]) == 3
        found = client.post("/match_face", files={"image": photo("biden-2010.jpg")}).json()
        assert found == {"status": "access_granted", "user_id": r"M\xfc", "name": r"M\xfc"}
        answer = client.post("/match", json={"descriptor": BIDEN.tolist()}).json()
        assert answer == {"regNo": r"M\xfc", "name": r"M\xfc"}
        assert client.delete(r"/enroll_faces/M\xfc").json()["faces_deleted"] == 1
        assert client.get("/records").json()["total_count"] == 2


def test_damaged_rows_survive_an_export_and_an_import(damaged: Path) -> None:
    settings, copy = {"FACE128_DATA": str(damaged)}, {"FACE128_DATA": str(damaged / "copy")}
    listed = [json.loads(line) for line in face128("gallery", "list", **settings).stdout.splitlines()]
    assert len(listed) == 3
    assert face128("gallery", "export", damaged / "all.json", **settings).stdout == "3 faces\n"
    imported = face128("gallery", "import", damaged / "all.json", **copy)
    assert "3 of them new" in imported.stdout, imported.stderr
    again = [json.loads(line) for line in face128("gallery", "list", **copy).stdout.splitlines()]
    assert {json.dumps(line, sort_keys=True) for line in again} == {json.dumps(x, sort_keys=True) for x in listed}


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("{}", {}),
        (r'{"\udc00": ["\uD83D", "\ud83d\ude00"]}', {r"\udc00": [r"\ud83d", "😀"]}),
        (r'{"a": "\\x"}', {"a": r"\x"}),
        ("", {"unreadable": ""}),
        ("[1]", {"unreadable": "[1]"}),
        ('{"a":' * 300 + "1" + "}" * 300, {"unreadable": '{"a":' * 300 + "1" + "}" * 300}),
    ],
)
def test_any_stored_metadata_can_be_answered(stored: str, read: dict[str, Any]) -> None:
    assert stored_metadata(stored) == read


@pytest.mark.parametrize("metadata", [{"a": "\ud83d"}, {"\udcff": 1}, {"a": [{"b": "\ude00"}]}, {"a": 10**400}])
def test_the_gallery_itself_refuses_metadata_that_is_not_unicode(tmp_path: Path, metadata: dict[str, Any]) -> None:
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery:
        with pytest.raises(InvalidRequest) as refused:
            gallery.enrol(Person("Somebody", "1"), [NewFace(OBAMA, b"photo", metadata)], DLIB)
        assert refused.value.context == {"field": "metadata"}
        assert gallery.page(0, 10) == (0, [])


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (rb'"regNo": 2, "name": "half \ud83d"', "enrolled[1].name"),
        (rb'"regNo": "M\udcfc", "name": "x"', "enrolled[1].regNo"),
        (b'"regNo": 2, "name": "M\xfcller"', "enrolled[1].name"),
        (rb'"regNo": 2, "name": "x", "faces": [{"metadata": {"a": "\ud83d"}}]', "enrolled[1]"),
        (rb'"regNo": 2, "name": "x", "faces": [{"id": "\ud83d", "created_at": "2026-11-30"}]', "enrolled[1]"),
        (b'"regNo": 2, "name": "x", "faces": [{"metadata": {"a": 1' + 400 * b"0" + b"}}]", "enrolled[1].metadata"),
    ],
)
def test_an_import_names_the_member_whose_text_is_not_unicode(tmp_path: Path, second: bytes, field: str) -> None:
    one, two = (to_base64(row).encode() for row in (OBAMA, BIDEN))
    document = (
        b'{"enrolled": [{"regNo": 1, "name": "a", "descriptors": ["' + one + b'"]}, '
        b'{"descriptors": ["' + two + b'"], ' + second + b"}]}"
    )
    with (
        closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery,
        pytest.raises(InvalidRequest) as refused,
    ):
        import_document(gallery, document)
    assert refused.value.context["field"].startswith(field)


def test_a_refused_import_stores_nothing_and_prints_one_line(tmp_path: Path) -> None:
    members = [{"regNo": 1, "name": "a", "descriptor": OBAMA.tolist()}]
    members += [{"regNo": 2, "name": "half \ud83d", "descriptor": BIDEN.tolist()}]
    file = tmp_path / "members.json"
    file.write_text(json.dumps(members))
    refused = face128("gallery", "import", file, FACE128_DATA=str(tmp_path))
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "[1].name" in refused.stderr
    assert json.loads(face128("gallery", "stats", FACE128_DATA=str(tmp_path)).stdout)["faces"] == 0
