"""face128 gallery: list, export, import, erase, stats, as an operator runs them, next to a running service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import face128
from people import add_record, at_distance, enrol, photo_descriptor
from serving import photo, serving

from face128.domain.descriptors import to_base64
from face128.domain.model_card import DLIB
from face128.engines.fake import FAKE
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

OBAMA, BIDEN, HOPPER = map(photo_descriptor, ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg"))


def run(url: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return face128("gallery", *arguments, FACE128_DATABASE_URL=url)


def ran(url: str, *arguments: str | Path) -> str:
    completed = run(url, *arguments)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def refused(url: str, *arguments: str | Path) -> str:
    completed = run(url, *arguments)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    return completed.stderr


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def member(reg_no: Any, descriptor: Any, name: str | None = "Somebody", **more: Any) -> dict[str, Any]:
    return {"regNo": reg_no, "name": name, "descriptor": descriptor.tolist(), **more}


def everything(url: str) -> list[tuple[Any, ...]]:
    gallery = Gallery(url)
    records = gallery.page(0, 1000)[1]
    gallery.close()
    return sorted(
        (r.id, r.person, json.dumps([r.metadata, r.photo_facts]), r.created_at, r.model, r.descriptor.tobytes())
        for r in records
    )


def test_an_export_and_an_import_give_the_same_gallery(database_url: str, tmp_path: Path) -> None:
    gallery = Gallery(database_url)
    enrol(gallery, "44", [OBAMA, at_distance(OBAMA, 0.1)], "Barack Obama")
    add_record(gallery, "Joe Biden 王", BIDEN)
    turned = NewFace(at_distance(HOPPER, 0.1), b"photo", photo_facts={"adjusted": {"turned": 90}})
    gallery.enrol(Person("Grace", "45"), [turned], DLIB)
    written(tmp_path / "hopper.json", [member(1984, at_distance(HOPPER, 0.9), None)])
    ran(database_url, "import", tmp_path / "hopper.json")
    gallery.close()
    assert ran(database_url, "export", tmp_path / "all.json") == "5 faces\n"
    copy = f"sqlite:///{tmp_path}/copy.sqlite"
    assert "5 of them new" in ran(copy, "import", tmp_path / "all.json")
    assert everything(copy) == everything(database_url)
    assert '[{}, {"adjusted": {"turned": 90}}]' in [row[2] for row in everything(copy)]
    assert "0 of them new" in ran(copy, "import", tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text())["model"] == "dlib-resnet-v1"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gallery.sqlite"


def test_an_export_is_a_list_that_match_takes(url: str, tmp_path: Path) -> None:
    enrol(Gallery(url), "44", OBAMA, "Barack Obama")
    ran(url, "export", tmp_path / "all.json")
    probe = written(tmp_path / "probe.json", OBAMA.tolist())
    completed = face128("match", probe, tmp_path / "all.json")
    assert json.loads(completed.stdout) == {"regNo": "44", "name": "Barack Obama"}


def test_the_reg_no_keeps_its_type_and_a_running_service_sees_each_change(tmp_path: Path, url: str) -> None:
    members = [member(1029, OBAMA, "Barack Obama"), member("A-7", BIDEN), {"regNo": 3, "name": "x", "descriptor": None}]
    with serving(FACE128_DATABASE_URL=url) as client:
        question = {"descriptor": OBAMA.tolist()}
        assert client.post("/match", json=question).json() == {"match": False}
        ran(url, "import", written(tmp_path / "members.json", {"enrolled": members}))
        assert client.post("/match", json=question).json() == {"regNo": 1029, "name": "Barack Obama"}
        more = {"files": {"file": photo("obama-2009.jpg")}, "data": {"name": "Barack Obama"}}
        assert client.post("/enroll_faces/1029", **more).status_code == 200
        near_2009 = photo_descriptor("obama-2009.jpg").tolist()
        assert client.post("/match", json={"descriptor": near_2009}).json()["regNo"] == 1029
        assert ran(url, "erase", "1029", "--yes") == "Erased: 1029, Barack Obama, with 2 photos\n"
        assert client.post("/match", json=question).json() == {"match": False}
    assert json.loads(ran(url, "stats"))["faces"] == 1
    listed = [json.loads(line) for line in ran(url, "list").splitlines()]
    assert [(line["regNo"], line["name"]) for line in listed] == [("A-7", "Somebody")]
    assert "nobody" in refused(url, "erase", "1029", "--yes").lower()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([member(1, OBAMA, model="dlib-resnet-v1"), member(2, BIDEN, model="buffalo_l")], "mixes"),
        ([member(1, OBAMA, model="buffalo_l")], "another model"),
        ([member(1, OBAMA), member(2, at_distance(BIDEN, float("nan")))], "invalid_descriptor"),
        ([member(1, OBAMA), {"regNo": 2, "name": "x", "descriptor": [0.1] * 127}], "enrolled[1].descriptor"),
        ([member(1, OBAMA), {"name": "x", "descriptor": BIDEN.tolist()}], "regNo"),
        ([member(1, OBAMA), member("1", BIDEN)], "both a number and a string"),
        ([member(1, OBAMA), member(2, BIDEN, "a\nb")], "name"),
        ([member(1, OBAMA, "One"), member(2, at_distance(OBAMA, 0.3), "Two")], "One and Two have one face"),
        ({"members": []}, "enrolled"),
    ],
)
def test_a_bad_file_is_refused_whole_with_a_reason(url: str, tmp_path: Path, members: Any, reason: str) -> None:
    assert reason in refused(url, "import", written(tmp_path / "members.json", members))
    assert json.loads(ran(url, "stats"))["faces"] == 0


def test_a_face_that_somebody_else_has_is_refused_unless_forced(url: str, tmp_path: Path) -> None:
    enrol(Gallery(url), "44", OBAMA, "Barack Obama")
    file = written(tmp_path / "members.json", [member(1, at_distance(OBAMA, 0.3), "Another")])
    assert "Barack Obama" in refused(url, "import", file)
    assert "1 of them new" in ran(url, "import", file, "--force")


def test_faces_not_comparable_with_the_gallerys_are_refused_unless_forced(url: str, tmp_path: Path) -> None:
    Gallery(url).enrol(Person("Barack Obama", "44"), [NewFace(OBAMA, b"photo")], FAKE)
    file = written(tmp_path / "members.json", [member(1, OBAMA)])
    assert "model_mismatch" in refused(url, "import", file)
    assert "1 of them new" in ran(url, "import", file, "--force")
    assert json.loads(ran(url, "stats"))["models"] == {"dlib-resnet-v1": 1, "fake": 1}
    assert "dlib-resnet-v1, fake" in refused(url, "export", tmp_path / "all.json")
    assert ran(url, "export", tmp_path / "all.json", "--model", "dlib-resnet-v1") == "1 face\n"


def test_every_form_of_a_descriptor_is_taken(url: str, tmp_path: Path) -> None:
    members = [
        {"regNo": 1, "name": "a", "descriptor": to_base64(OBAMA)},
        {"regNo": 2, "name": "b", "descriptor": {str(i): number for i, number in enumerate(BIDEN.tolist())}},
        {"regNo": 3, "name": "c", "descriptors": [HOPPER.tolist(), at_distance(HOPPER, 0.1).tolist()]},
    ]
    assert "4 of them new" in ran(url, "import", written(tmp_path / "members.json", members))
    vectors = {row[-1] for row in everything(url)}
    assert {row.astype("f8").tobytes() for row in (OBAMA, BIDEN, HOPPER)} <= vectors
