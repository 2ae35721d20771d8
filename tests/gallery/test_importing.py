"""An import stores all or none: what it compares, what it refuses, what others do meanwhile, and what a kill leaves."""

from __future__ import annotations

import csv
import io
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import encrypted_galleries
import numpy as np
import pytest
from command_line import face128
from model_mixtures import Mixtures
from people import add_record, at_distance, enrol, import_document, photo_descriptor, synthetic
from serving import environment
from several_models import DLIB, PAIR, RETAIL, THRESHOLD, distance, limit, pair

from face128.domain.descriptors import to_base64
from face128.errors import Duplicate, InvalidRequest
from face128.gallery.gallery import Gallery
from face128.gallery.transfer import importing, member_file
from face128.gallery.transfer.exporting import export_members, statistics
from face128.gallery.transfer.import_labels import DuplicatePair
from face128.gallery.transfer.importing import Imported
from face128.gallery.transfer.member_file import MemberFile

OBAMA, BIDEN = map(photo_descriptor, ("obama-2012.jpg", "biden-2010.jpg"))
TIMEOUT_S = 120


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")) as opened:
        yield opened


def member(reg_no: Any, *descriptors: Any, name: str | None = "Somebody", **more: Any) -> dict[str, Any]:
    return {"regNo": reg_no, "name": name, "descriptors": [to_base64(row) for row in descriptors], **more}


def load(gallery: Gallery, members: list[Any], **options: Any) -> Imported:
    return import_document(gallery, json.dumps(members), **options)


def people(gallery: Gallery) -> list[tuple[Any, str | None]]:
    """In the order of creation."""
    return [(record.person.reg_no, record.person.name) for record in gallery.page(0, 100_000)[1]]


Descriptors = dict[str, list[float]]
Named = tuple[str, str | None, bool, Descriptors]
"""The user_id, the name, whether it is a record, and the descriptors of a photo."""


def one_face(a: Descriptors, b: Descriptors) -> float | None:
    """The distance of two photos with one face, by the first space that both have."""
    if all(model in photo for model in (DLIB, RETAIL) for photo in (a, b)):
        space, one, other = PAIR, pair(a[DLIB], a[RETAIL]), pair(b[DLIB], b[RETAIL])
    else:
        space = next((model for model in (RETAIL, DLIB) if model in a and model in b), "")
        if not space:
            return None
        one, other = a[space], b[space]
    apart = distance(space, one, other)
    return apart if apart <= limit(THRESHOLD, space) else None


def same_person(a: Named, b: Named) -> bool:
    return a[0] == b[0] or ((a[2] or b[2]) and a[1] is not None and a[1] == b[1])


@pytest.mark.parametrize("seed", range(4))
def test_the_pairs_are_those_of_a_loop_over_all(gallery: Gallery, seed: int) -> None:
    """Of photos by one network, the other, or both; of users and records; in the file and in the gallery."""
    dice, mixtures = random.Random(seed), Mixtures(seed)

    def some(count: int, prefix: str) -> tuple[list[Any], list[Named]]:
        members, named = [], []
        for number in range(count):
            record = dice.random() < 0.3
            user_id, name = f"{prefix}{number}", dice.choice([None, "Ada", "Bo", "Cy", "Di"])
            name = name or ("Ed" if record else None)
            models = dice.choice(([DLIB], [RETAIL], [DLIB, RETAIL]))
            # Some have a face that somebody else has, in one network or in both.
            faces = {model: mixtures.face(dice.randrange(12), dice.randrange(2))[model] for model in models}
            if dice.random() < 0.7:
                whole = mixtures.face(dice.randrange(12), dice.randrange(2))
                faces = {model: whole[model] for model in models}
            faces = {model: [own[0] + 1e-4 * dice.random(), *own[1:]] for model, own in faces.items()}
            detail = {"id": user_id if record else f"{user_id}-photo", "metadata": {}, "created_at": "2026-01-02T03:04"}
            given = {model: [numbers] for model, numbers in faces.items()}
            members.append({"regNo": user_id, "name": name, "descriptors": given, "faces": [detail]})
            stored = {model: to_float32(numbers) for model, numbers in faces.items()}
            named.append((user_id, name, record, stored))
        return members, named

    before, stored = some(25, "s")
    load(gallery, before, force=True)
    members, new = some(25, "n")
    wanted = {
        (a[0], b[0]): apart
        for place, a in enumerate(new)
        for b in new[place + 1 :] + stored
        if not same_person(a, b) and (apart := one_face(a[3], b[3])) is not None
    }
    found: list[DuplicatePair] = []
    with pytest.raises(Duplicate) as refused:
        load(gallery, members, report=found.extend)
    assert {tuple(one.user_id for one in each.people): each.distance for each in found} == wanted  # type: ignore[comparison-overlap]
    assert len(wanted) > 5
    assert {each.stored_id for each in found} > {None}
    assert refused.value.context["user_id"] == found[0].people[1].user_id
    assert f"There are {len(wanted)} such pairs" in str(refused.value)
    assert statistics(gallery)["faces"] == 25
    assert load(gallery, members, force=True, report=found.extend).new == 25
    assert len(found) == 2 * len(wanted)


def to_float32(numbers: list[float]) -> list[float]:
    return [float(np.float32(number)) for number in numbers]


def test_a_bad_member_in_the_middle_of_a_large_file_is_named_and_nothing_is_stored(gallery: Gallery) -> None:
    members: list[Any] = [member(place, row) for place, row in enumerate(synthetic(1400))]
    for bad, field in (
        ({"regNo": 7, "name": "x", "descriptor": [0.1] * 127}, "enrolled[1203].descriptor"),
        ({"regNo": 7, "name": "x", "descriptor": [float("nan")] * 128}, "enrolled[1203].descriptor"),
        ({"regNo": None, "name": "x", "descriptor": None}, "enrolled[1203].regNo"),
        (member(7, OBAMA, name="a\nb"), "enrolled[1203].name"),
        (member(7, OBAMA, faces=[{"id": "é", "created_at": "2026-01-02"}]), "enrolled[1203].faces"),
        ("nobody", "enrolled[1203]"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            load(gallery, [*members[:1203], bad, *members[1203:]], force=True)
        assert refused.value.context["field"] == field
    with pytest.raises(InvalidRequest, match="both a number and a string"):
        load(gallery, [*members, member("1203", OBAMA)], force=True)
    assert statistics(gallery)["faces"] == 0


def test_a_time_with_a_zone_is_stored_in_utc(gallery: Gallery) -> None:
    load(gallery, [member(1, OBAMA, faces=[{"id": "a", "metadata": {}, "created_at": "2026-01-02T03:04:05+02:00"}])])
    assert [record.created_at.isoformat() for record in gallery.page(0, 10)[1]] == ["2026-01-02T01:04:05"]


def test_of_a_field_that_stands_twice_none_is_chosen(gallery: Gallery) -> None:
    text = json.dumps([member(1, OBAMA), member(2, BIDEN)]).replace('"regNo": 2', '"regNo": 2, "regNo": 3')
    with pytest.raises(InvalidRequest) as refused:
        import_document(gallery, text)
    assert refused.value.context["field"] == "enrolled[1].regNo"


def test_the_order_of_creation_survives_an_export_and_an_import(database_url: str, tmp_path: Path) -> None:
    """People got their photos in turns, and ids are in another order than user_ids."""
    rows = synthetic(60, seed=3)
    with closing(Gallery(database_url)) as gallery, closing(Gallery(f"sqlite:///{tmp_path}/copy.sqlite")) as copy:
        for place, row in enumerate(rows[:40]):
            enrol(gallery, f"u{place * 7 % 13}", row, f"Person {place * 7 % 13}", force=True)
            if place % 5 == 0:
                add_record(gallery, f"Record {place}", rows[40 + place // 5], force=True)
        texts = []
        for each in (gallery, copy):
            text = io.StringIO()
            export_members(each, text)
            texts.append(text.getvalue())
            if each is gallery:
                assert import_document(copy, text.getvalue(), force=True) == Imported(48, 48, DLIB)
        assert texts[0] == texts[1]
        records, copies = (each.page(0, 1000)[1] for each in (gallery, copy))
        facts = [[(r.id, r.person, r.created_at, r.descriptor.tobytes()) for r in each] for each in (records, copies)]
        assert facts[0] == facts[1]
        assert import_document(gallery, texts[1], force=True) == Imported(48, 0, DLIB)


def test_a_photo_is_stored_once_and_the_last_name_counts(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one block ends and the next begins."""
    detail = {"metadata": {}, "created_at": "2026-01-02T03:04:05"}
    near = at_distance(OBAMA, 0.1)
    listed = [
        member(1, OBAMA, name="Old", faces=[{"id": "ID", **detail}]),
        member(1, OBAMA, name="Newer"),  # the same photo
        member(2, BIDEN, name="Joe", faces=[{"id": "ID", **detail}]),  # another photo with an id that is taken
        member(1, near, name="Newest"),
    ]
    for rows in (1, 2, 500):
        monkeypatch.setattr(member_file, "BLOCK_MEMBERS", rows)
        other = gallery.of_collection(f"rows-{rows}")
        members = json.loads(json.dumps(listed).replace("ID", f"id-{rows}"))
        assert load(other, members).new == 2
        assert people(other) == [(1, "Newest"), (1, "Newest")]
        assert load(other, members).new == 0
        assert load(other, [member("1", BIDEN, name="Again")]).new == 1
        assert people(other) == 3 * [(1, "Again")]  # the kind of the number stays


def test_what_somebody_enrols_while_the_file_is_compared_is_compared_too(gallery: Gallery) -> None:
    rows = synthetic(1300, seed=5)
    members = [member(place, row, name=f"Person {place}") for place, row in enumerate(rows)]

    def meanwhile(pairs: Iterator[DuplicatePair]) -> None:
        assert list(pairs) == []
        enrol(gallery, "thief", at_distance(rows[700], 0.1), "Thief")
        enrol(gallery, "3", at_distance(rows[3], 0.1), "Person 3")  # themselves

    with pytest.raises(Duplicate, match=r"Person 700 and Thief have one face.*when 500 faces were stored") as refused:
        load(gallery, members, report=meanwhile)
    assert refused.value.context["user_id"] == "thief"
    assert statistics(gallery)["faces"] == 502
    assert load(gallery, members, force=True).new == 800


def test_in_an_encrypted_gallery_people_stay_who_they_are(tmp_path: Path) -> None:
    with closing(encrypted_galleries.in_folder(tmp_path).open()) as gallery:
        enrol(gallery, "44", OBAMA, "Barack")
        add_record(gallery, "Joe", BIDEN)
        same = [
            member("44", at_distance(OBAMA, 0.1), name="Barack"),
            member(7, at_distance(BIDEN, 0.1), name="Joe"),  # linked by the record of that name
        ]
        assert load(gallery, same).new == 2
        assert load(gallery, same).new == 0
        with pytest.raises(Duplicate, match="Jane and Barack have one face") as refused:
            load(gallery, [member(8, at_distance(OBAMA, 0.05), name="Jane")])
        assert refused.value.context["user_id"] == "44"
        text = io.StringIO()
        export_members(gallery, text)
    with closing(Gallery(f"sqlite:///{tmp_path}/clear.sqlite")) as copy:
        assert import_document(copy, text.getvalue()) == Imported(4, 4, DLIB)
        again = io.StringIO()
        export_members(copy, again)
        assert again.getvalue() == text.getvalue()


def test_postgresql_knows_during_an_import_how_many_rows_there_are(new_gallery: Callable[[str], str]) -> None:
    """Else a search beside it reads the whole table: it asks for the rows above a version."""
    wanted = "SELECT count(*) FROM pg_stats WHERE tablename = 'faces' AND attname IN ('version', 'user_id')"
    with closing(Gallery(new_gallery("postgresql"))) as gallery:
        load(gallery, [member(number, row) for number, row in enumerate(synthetic(importing.FIRST_COUNT_ROWS))])
        with gallery.database.reading() as connection:
            assert connection.exec_driver_sql(wanted).scalar() == 2


def test_a_file_that_changes_during_the_import_is_noticed(gallery: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    path.write_text(json.dumps([member(1, OBAMA)]))

    def change(pairs: Iterator[DuplicatePair]) -> None:
        path.write_text(json.dumps([member(1, BIDEN)]))

    with path.open("rb") as file, pytest.raises(InvalidRequest, match="was changed during the import"):
        importing.import_members(gallery, MemberFile(file), report=change)
    assert statistics(gallery)["faces"] == 0


def test_an_import_that_was_killed_goes_on(tmp_path: Path) -> None:
    rows = synthetic(6000, seed=9)
    path, database = tmp_path / "members.json", tmp_path / "gallery.sqlite"
    path.write_text(json.dumps([member(place, row, name=f"Person {place}") for place, row in enumerate(rows)]))
    settings = {"FACE128_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "face128", "gallery", "import", str(path), "--force"]
    stored, kills = 0, 0
    while kills < 2:
        with subprocess.Popen(command, env=environment(**settings), stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + TIMEOUT_S
            while process.poll() is None and count(database) <= stored and time.monotonic() < deadline:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        before, stored = stored, count(database)
        assert before < stored < len(rows)
        assert stored % importing.ROWS_AT_ONCE == 0
        kills += 1
    assert face128("gallery", "import", path, **settings).stdout.endswith(f"{len(rows) - stored} of them new\n")
    with closing(Gallery(f"sqlite:///{database}")) as gallery:
        assert people(gallery) == [(place, f"Person {place}") for place in range(len(rows))]


def count(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM faces").fetchone()[0])
    except sqlite3.OperationalError:  # the tables are about to be made
        return 0


def test_a_report_lists_all_pairs(tmp_path: Path) -> None:
    settings = {"FACE128_DATA": str(tmp_path)}
    (tmp_path / "first.json").write_text(json.dumps([member("44", OBAMA, name="=Barack")]))
    assert face128("gallery", "import", tmp_path / "first.json", **settings).returncode == 0
    near = [at_distance(OBAMA, apart) for apart in (0.1, 0.2)]
    members = [member(1, near[0], name=None), member(2, BIDEN, name="Joe"), member(3, near[1], name="Two")]
    path = tmp_path / "members.json"
    path.write_text("\n".join(map(json.dumps, members)))  # JSON Lines
    table, lines = tmp_path / "pairs.csv", tmp_path / "pairs.json"
    refused = face128("gallery", "import", path, "--report", table, **settings)
    assert refused.returncode == 2
    assert "1 and Two have one face. There are 3 such pairs of faces" in refused.stderr
    forced = face128("gallery", "import", path, "--report", lines, "--force", **settings)
    assert "3 of them new" in forced.stdout, forced.stderr
    header, *rows = csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline=""))
    found = json.loads(lines.read_text())
    assert [list(pair) for pair in found] == 3 * [header]
    assert [(pair["regNo"], pair["other_regNo"]) for pair in found] == [(1, 3), (1, "44"), (3, "44")]
    assert [row[1:4] for row in rows] == [["", "3", "Two"], ["", "44", "'=Barack"], ["Two", "44", "'=Barack"]]
    assert [round(pair["distance"], 5) for pair in found] == [0.1, 0.1, 0.2]
    assert [bool(pair["other_id"]) for pair in found] == [False, True, True]
    assert table.stat().st_mode & 0o777 == 0o600
    nothing = face128("gallery", "import", path, "--report", lines, **settings)
    assert "0 of them new" in nothing.stdout
    assert json.loads(lines.read_text()) == []
