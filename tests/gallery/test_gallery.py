"""Gallery on SQLite, MariaDB and PostgreSQL: enrolment, duplicates, searches, and what remains of erased faces."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from people import add_record, at_distance, enrol, matched_reg_no, photo_descriptor, synthetic

from face128.domain.descriptors import distance, distances
from face128.domain.model_card import DLIB, FACEAPI
from face128.domain.probe import Probe
from face128.engines.fake import FAKE
from face128.errors import Duplicate, InvalidRequest, NotFound, TooManyImages
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage import tables
from face128.gallery.storage.tables import erased, faces, state
from face128.match_body import parser
from face128.matching.decision import decide

Open = Callable[[], Gallery]
OBAMA, OBAMA_TOO, BIDEN = map(photo_descriptor, ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"))


def test_the_enrolled_person_is_found_and_a_stranger_is_not(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA, "Barack Obama")
    assert matched_reg_no(gallery, OBAMA_TOO) == "44"
    assert matched_reg_no(gallery, BIDEN) is None


def test_a_gallery_without_anybody_finds_nobody(gallery: Gallery) -> None:
    assert gallery.match(Probe.of(DLIB, OBAMA)).answer() == {"match": False}
    assert gallery.search(Probe.of(DLIB, OBAMA), 5) == []
    assert gallery.page(0, 10) == (0, [])


def test_a_search_and_a_posted_list_agree_to_the_last_bit(gallery: Gallery) -> None:
    people = synthetic(300)
    people[200] = people[100]  # of equal distances the first wins
    for index, descriptor in enumerate(people):
        enrol(gallery, str(index), descriptor, f"Person {index}", force=True)
    members = [{"regNo": str(i), "name": f"Person {i}", "descriptor": row.tolist()} for i, row in enumerate(people)]
    random = np.random.default_rng(1)
    probes = [people[100], people[200], *(people[:20] + random.normal(0, 0.03, (20, 128)))]
    for probe in probes:
        posted = decide(parser.parse(json_of({"descriptor": probe.tolist(), "enrolled": members})), explain=True)
        assert gallery.match(Probe.of(DLIB, probe), explain=True) == posted


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()


def test_the_threshold_is_inclusive_to_the_last_bit(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA)
    probe = OBAMA.astype(float) + 0.03
    exact = distance(OBAMA, probe, "euclidean")
    assert gallery.match(Probe.of(DLIB, probe), {DLIB.name: exact}).matched
    assert not gallery.match(Probe.of(DLIB, probe), {DLIB.name: float(np.nextafter(exact, 0))}).matched


def test_the_runner_up_is_another_person_however_many_faces_the_nearest_has(gallery: Gallery) -> None:
    enrol(gallery, "44", [at_distance(OBAMA, 0.001 * step) for step in range(40)])
    enrol(gallery, "46", BIDEN)
    decision = gallery.match(Probe.of(DLIB, OBAMA))
    assert decision.runner_up is not None
    assert decision.runner_up.reg_no == "46"
    assert decision.runner_up.distance == distance(BIDEN, OBAMA, "euclidean")


def test_a_search_gives_each_face_in_the_order_of_distance(gallery: Gallery) -> None:
    people = synthetic(200)
    for index in range(0, 200, 4):
        enrol(gallery, str(index), people[index : index + 4], force=True)
    exact = np.array([distance(row, BIDEN, "euclidean") for row in people])
    found = gallery.search(Probe.of(DLIB, BIDEN), 50)
    assert [one.distance for one in found] == sorted(exact)[:50]
    assert [one.record.descriptor.tolist() for one in found] == people[np.argsort(exact)[:50]].tolist()


def test_the_order_is_exact_where_float32_cannot_tell_who_is_nearer(gallery: Gallery) -> None:
    random = np.random.default_rng(9)
    last_bits = random.choice([-1, 0, 1], (150, 128)) * np.spacing(OBAMA)
    people = (OBAMA + last_bits).astype(np.float32)
    gallery.enrol(Person("Barack Obama", "44"), [NewFace(row, row.tobytes()) for row in people], DLIB)
    for _ in range(30):
        probe = BIDEN + random.normal(0, 0.01, 128)
        exact = distances(people, probe, "euclidean")
        assert len(set(exact.astype(np.float32))) < 75  # else float32 could tell
        found = gallery.search(Probe.of(DLIB, probe), 5)
        assert [one.distance for one in found] == sorted(exact)[:5]


def test_another_models_descriptors_are_never_compared(gallery: Gallery) -> None:
    gallery.enrol(Person("Barack Obama", "44"), [NewFace(OBAMA, b"photo")], FAKE)
    assert gallery.search(Probe.of(DLIB, OBAMA), 5) == []
    assert enrol(gallery, "another", OBAMA)  # not a duplicate either: the models are not comparable
    assert [one.record.person.user_id for one in gallery.search(Probe.of(FAKE, OBAMA), 5)] == ["44"]


def test_comparable_models_are_compared_and_the_nearest_of_both_comes_first(gallery: Gallery) -> None:
    people = synthetic(60)
    for index, descriptor in enumerate(people):
        card = (DLIB, FACEAPI)[index % 2]
        gallery.enrol(Person("Somebody", str(index)), [NewFace(descriptor, b"photo")], card, force=True)
    order = np.argsort(distances(people, OBAMA, "euclidean"))
    for card in (DLIB, FACEAPI):
        found = gallery.search(Probe.of(card, OBAMA), 20)
        assert [one.record.person.user_id for one in found] == [str(index) for index in order[:20]]
    with pytest.raises(Duplicate):
        gallery.enrol(Person("Another", "x"), [NewFace(people[1], b"photo")], DLIB)


def test_another_persons_face_is_refused_and_the_person_is_named(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA, "Barack Obama")
    with pytest.raises(Duplicate, match="Barack Obama") as refusal:
        enrol(gallery, "x", [BIDEN, OBAMA_TOO], "Somebody")
    assert (refusal.value.context["user_id"], refusal.value.context["index"]) == ("44", 1)
    assert gallery.page(0, 9)[0] == 1  # all or nothing
    enrol(gallery, "x", [BIDEN, OBAMA_TOO], "Somebody", force=True)
    assert gallery.page(0, 9)[0] == 3


def test_at_the_very_threshold_it_is_another_persons_face(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA)
    enrol(gallery, "farther", at_distance(OBAMA, 0.3801))
    with pytest.raises(Duplicate):
        enrol(gallery, "nearer", at_distance(OBAMA, -0.3799))


def test_a_person_may_have_several_faces_and_a_record_is_the_person_of_its_name(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA, "Barack Obama")
    enrol(gallery, "44", OBAMA_TOO, "Barack Obama")
    add_record(gallery, "Barack Obama", at_distance(OBAMA, 0.1))
    with pytest.raises(Duplicate):
        add_record(gallery, "barack obama", at_distance(OBAMA, 0.1))
    with pytest.raises(Duplicate):
        enrol(gallery, "45", at_distance(OBAMA, 0.1), "Barack Obama")  # another user of this name


def test_a_face_that_is_sent_twice_is_stored_once(gallery: Gallery) -> None:
    first = add_record(gallery, "Barack Obama", OBAMA)
    assert add_record(gallery, "Barack Obama", OBAMA).id == first.id
    once = enrol(gallery, "44", [OBAMA, OBAMA, BIDEN], force=True)
    assert len(once) == 2
    assert [one.id for one in enrol(gallery, "44", [BIDEN, OBAMA], force=True)] == [once[1].id, once[0].id]
    assert gallery.page(0, 9)[0] == 3


def test_a_person_has_at_most_so_many_faces_unless_they_are_replaced(gallery: Gallery) -> None:
    people = [at_distance(OBAMA, 0.01 * step) for step in range(8)]
    enrol(gallery, "44", people[:3], max_faces=4)
    with pytest.raises(TooManyImages):
        enrol(gallery, "44", people[3:5], max_faces=4)
    enrol(gallery, "44", people[2:4], max_faces=4)  # one of them is there already
    enrol(gallery, "44", people[3:7], max_faces=4, replace=True)
    stored = [one.descriptor.tolist() for one in gallery.page(0, 9)[1]]
    assert stored == [row.tolist() for row in people[3:7]]


def test_the_name_given_last_is_the_persons_name(gallery: Gallery) -> None:
    enrol(gallery, "44", OBAMA, "Barry")
    enrol(gallery, "44", OBAMA_TOO, "Barack Obama")
    assert {one.person.name for one in gallery.page(0, 9)[1]} == {"Barack Obama"}


@pytest.mark.parametrize(
    ("user_id", "other"), [("user", "USER"), ("jose", "josé"), ("ß", "ss"), ("王", "玉"), ("😀", "😁")]
)
def test_people_are_told_apart_by_every_character(gallery: Gallery, user_id: str, other: str) -> None:
    enrol(gallery, user_id, OBAMA)
    enrol(gallery, other, BIDEN)
    gallery.erase_user(other)
    assert matched_reg_no(gallery, OBAMA) == user_id


@pytest.mark.parametrize("text", ["", " a", "a\n", "a\x00b", "\ud800", "x" * 256])
def test_text_that_no_database_can_keep_is_refused(gallery: Gallery, text: str) -> None:
    for attempt in (lambda: Person("Somebody", text), lambda: Person(text, "44"), lambda: gallery.erase_user(text)):
        with pytest.raises(InvalidRequest):
            attempt()
    assert enrol(gallery, "😀" * 255, OBAMA, "😀" * 255)


def test_the_erased_are_gone_from_rows_and_index_at_once(gallery: Gallery) -> None:
    enrol(gallery, "44", [OBAMA, OBAMA_TOO])
    mine = add_record(gallery, "Joe Biden", BIDEN)
    assert len(gallery.erase_user("44").records) == 2
    assert matched_reg_no(gallery, OBAMA) is None
    assert gallery.sizes() == {"dlib-resnet-v1": 1}
    assert gallery.erase_record(mine.id).records[0].person.name == "Joe Biden"
    for again in (
        lambda: gallery.erase_user("44"),
        lambda: gallery.erase_record(mine.id),
        lambda: gallery.record(mine.id),
    ):
        with pytest.raises(NotFound):
            again()


def test_nothing_of_the_erased_remains_in_any_table(gallery: Gallery, tmp_path: Path) -> None:
    gallery.enrol(Person("Wilhelmina", "id-of-hers"), [NewFace(OBAMA, b"photo", {"of": "metadata-of-hers"})], DLIB)
    enrol(gallery, "46", BIDEN)
    stored = gallery.search(Probe.of(DLIB, OBAMA), 1)[0].record
    gallery.erase_user("id-of-hers")
    traces = ["Wilhelmina", "id-of-hers", "metadata-of-hers", stored.id, OBAMA.tobytes()]
    with gallery.database.reading() as connection:
        for table in (faces, erased, state):
            for row in connection.execute(sa.select(table)):
                assert not [value for value in row if value in traces], table.name
    for file in tmp_path.glob("gallery.sqlite*"):  # nor in SQLite's free pages and log
        content = file.read_bytes()
        assert not [trace for trace in traces if (trace if isinstance(trace, bytes) else trace.encode()) in content], (
            file.name
        )


def test_a_row_number_never_comes_back(gallery: Gallery) -> None:
    first = add_record(gallery, "Barack Obama", OBAMA)
    gallery.erase_record(first.id)
    assert add_record(gallery, "Joe Biden", BIDEN).face_id > first.face_id


def test_what_one_worker_has_done_the_next_search_of_another_sees(open_gallery: Open) -> None:
    one, other = open_gallery(), open_gallery()
    for turn in range(10):
        enrol(one, "44", OBAMA, "Barack Obama")
        assert matched_reg_no(other, OBAMA) == "44"
        enrol(other, "46", BIDEN)
        assert matched_reg_no(one, BIDEN) == "46"
        other.erase_user("44")
        assert matched_reg_no(one, OBAMA) is None
        one.erase_user("46")
        assert matched_reg_no(other, BIDEN) is None
        assert sum(one.sizes().values()) == sum(other.sizes().values()) == 0, turn


def test_a_worker_that_missed_more_erasures_than_are_listed_reads_the_whole_table(
    open_gallery: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face128.gallery.rows.statements.MAX_LISTED_VERSIONS", 3)
    one, late = open_gallery(), open_gallery()
    enrol(one, "44", OBAMA)
    late.load()
    one.erase_user("44")
    for turn in range(10):
        enrol(one, f"p{turn}", BIDEN)
        one.erase_user(f"p{turn}")
    late.load()
    assert late.sizes().get("dlib-resnet-v1", 0) == 0


def test_a_rebuild_reaches_every_worker(open_gallery: Open) -> None:
    one, other = open_gallery(), open_gallery()
    enrol(one, "44", OBAMA)
    other.load()
    with one.database.writing() as connection:  # past the gallery: the version stays the same
        connection.exec_driver_sql("UPDATE faces SET user_id = '45'")
        connection.exec_driver_sql("UPDATE faces SET id = id + 100")
    assert one.rebuild() == 1
    assert matched_reg_no(one, OBAMA) == matched_reg_no(other, OBAMA) == "45"


def test_of_two_that_enrol_one_face_at_once_one_is_refused(open_gallery: Open) -> None:
    galleries = [open_gallery() for _ in range(4)]
    for turn in range(5):
        start = threading.Barrier(4, timeout=60)

        def attempt(number: int, turn: int = turn, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                enrol(galleries[number], f"{turn}-{number}", synthetic(5)[turn])
            except Duplicate:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(attempt, range(4))) == 1


def test_the_migrations_make_the_tables_that_the_code_knows(gallery: Gallery) -> None:
    with gallery.database.reading() as connection:
        inspector = sa.inspect(connection)
        known = [table for table in vars(tables).values() if isinstance(table, sa.TableClause)]
        assert set(inspector.get_table_names()) == {"alembic_version", *(table.name for table in known)}
        for table in known:
            assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.c.keys()), table.name


def test_workers_that_start_together_on_an_empty_database_do_not_race(open_gallery: Open) -> None:
    with ThreadPoolExecutor(4) as pool:
        galleries = list(pool.map(lambda _: open_gallery(), range(4)))
    enrol(galleries[0], "44", OBAMA)
    assert {matched_reg_no(gallery, OBAMA) for gallery in galleries} == {"44"}
