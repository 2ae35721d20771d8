"""Photos with descriptors by one network, the other, or both: the gallery decides as a loop over plain numbers."""

from __future__ import annotations

import io
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from model_mixtures import Mixtures
from people import import_document
from several_models import (
    DLIB,
    FACEAPI,
    PAIR,
    RETAIL,
    THRESHOLD,
    answer,
    decided_rows,
    distance,
    limit,
)

from face128.domain.decision_rule import Rule
from face128.domain.model_card import find_card
from face128.domain.probe import Probe
from face128.errors import Duplicate, Face128Error, InconsistentPerson, ModelMismatch, NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.transfer.exporting import export_members, statistics
from face128.match_body.parser import parse
from face128.matching.decision import decide

Open = Callable[..., Gallery]
ORDERS: Any = ("dlib", "retail", "dlib+retail")
WAYS: Any = ([DLIB], [RETAIL], [DLIB, RETAIL], [RETAIL, DLIB], [FACEAPI, RETAIL])
LEFT_OUT = {"models", "mixed_models", "score", "stranger_risk", "decision"}


def stored(numbers: list[float]) -> list[float]:
    """As the table keeps them."""
    return [float(np.float32(number)) for number in numbers]


def face(person: int, photo: int) -> dict[str, list[float]]:
    return {model: stored(numbers) for model, numbers in Mixtures(0).face(person, photo).items()}


def probe_of(numbers: dict[str, list[float]]) -> Probe:
    return Probe(tuple((find_card(model), np.array(own)) for model, own in numbers.items()), by_model=True)  # type: ignore[misc]


@dataclass
class Row:
    photo: int
    main: str
    numbers: dict[str, list[float]]


class People:
    """A gallery that several workers have open, and its people as the members of a request."""

    def __init__(self, workers: list[Gallery], seed: int) -> None:
        self.workers, self.dice = workers, random.Random(seed)
        self.photos: dict[str, list[Row]] = {}
        self.changes = Counter[str]()

    @property
    def worker(self) -> Gallery:
        return self.dice.choice(self.workers)

    def add(self, user: str, photo: int, models: list[str]) -> None:
        """Enrol a photo. One that is stored already only gets the descriptors that it lacks."""
        numbers = face(int(user), photo)
        main, *others = models
        vectors = {model: np.array(numbers[model], np.float32) for model in others}
        new = NewFace(np.array(numbers[main], np.float32), f"photo {photo}".encode(), companions=vectors)
        self.worker.enrol(Person(f"Name {user}", user), [new], find_card(main), force=True)  # type: ignore[arg-type]
        rows = self.photos.setdefault(user, [])
        names = [*models, *({RETAIL: [DLIB, FACEAPI]}.get(main, [RETAIL]))]
        row = next((row for name in names for row in rows if (row.photo, row.main) == (photo, name)), None)
        self.changes["completed"] += row is not None and not row.numbers.keys() >= set(models)
        if row is None:
            rows.append(row := Row(photo, main, {}))
        for model in models:
            if {DLIB: FACEAPI, FACEAPI: DLIB}.get(model) not in row.numbers:
                row.numbers.setdefault(model, numbers[model])

    def change(self) -> None:
        dice, kind = self.dice, self.dice.random()
        if self.photos and kind < 0.15:
            user = dice.choice(list(self.photos))
            if dice.random() < 0.5:
                self.worker.erase_user(user)
                del self.photos[user]
            else:
                total, records = self.worker.page(0, 1000)
                record = dice.choice([record for record in records if record.person.user_id == user])
                assert total == len(records)
                self.worker.erase_record(record.id)
                place = [one.id for one in records if one.person.user_id == user].index(record.id)
                del self.photos[user][place]
                if not self.photos[user]:
                    del self.photos[user]
            self.changes["erased"] += 1
        elif self.photos and kind < 0.4:
            user = dice.choice(list(self.photos))
            row = dice.choice(self.photos[user])
            self.add(user, row.photo, list(dict.fromkeys([row.main, dice.choice([DLIB, RETAIL])])))
        else:
            self.add(str(dice.randrange(12)), dice.randrange(4), list(dice.choice(WAYS)))

    def body(self) -> dict[str, Any]:
        members = []
        for user, photos in self.photos.items():
            models = sorted({model for row in photos for model in row.numbers})
            lists = {model: [row.numbers.get(model) for row in photos] for model in models}
            members.append({"regNo": user, "name": f"Name {user}", "descriptors": lists})
        models = list(self.dice.choice(WAYS))
        numbers = face(self.dice.randrange(14), self.dice.choice([0, 1, 9]))
        probe = {model: numbers[model] for model in models}
        return {"descriptors": probe, "enrolled": members, "model": models[0]}


def answered(gallery: Gallery, body: dict[str, Any], rule: Rule = Rule()) -> dict[str, Any]:
    probe, template = probe_of(body["descriptors"]), body.get("template")
    try:
        asked = probe, body.get("threshold") or {}, rule
        found = gallery.match(*asked, template=template, explain=rule.name == "cohort")
    except Face128Error as error:
        return {"code": error.code}
    explained = found.answer(explain=True)
    if found.nearest is not None:
        assert explained["models"] == explained["model"].split("+")
        if rule.name == "cohort":
            briefly = gallery.match(*asked, template=template)
            assert (briefly.nearest, briefly.matched) == (found.nearest, found.matched)
    return explained


def check(people: People, order: Any, seen: Counter[str]) -> None:
    body = people.body()
    if people.dice.random() < 0.3:
        body["threshold"] = {PAIR: 0.5, RETAIL: 0.7}
    for template in ("nearest", "mean"):
        body["template"] = template
        expected = answer(body, order)
        if expected.get("code") == "model_mismatch":  # of a posted list; a gallery may have only other people
            expected = {"match": False, "distance": None}
        found = answered(people.worker, body)
        assert {name: found[name] for name in expected if name not in LEFT_OUT} == {
            name: value for name, value in expected.items() if name not in LEFT_OUT
        }
        seen[f"{expected.get('model')} {'regNo' in expected}"] += 1
        seen["another space's runner-up"] += "model" in (expected.get("runner_up") or {})
    body = body | {"template": "nearest"}
    ranking = sorted(
        (distance(space, numbers, row[3]) / limit(THRESHOLD, space), distance(space, numbers, row[3]), row[1])
        for space, (numbers, rows, here) in decided_rows(body, order).items()
        for row in rows
        if row[1] in here
    )
    probe = probe_of(body["descriptors"])
    hits = people.worker.search(probe, 7)
    assert [(hit.distance, hit.record.person.user_id) for hit in hits] == [row[1:] for row in ranking[:7]]
    decided, best, near = people.worker.recognise(probe, 3)
    assert [(hit.distance, hit.record.person.user_id) for hit in near] == [row[1:] for row in ranking[:3]]
    assert (decided.distance, best and best.distance) == ((ranking[0][1],) * 2 if ranking else (None, None))
    verify(people, body, order)


def verify(people: People, body: dict[str, Any], order: Any) -> None:
    user = people.dice.choice([*people.photos, "nobody"])
    alone = body | {"enrolled": [member for member in body["enrolled"] if member["regNo"] == user], "threshold": None}
    expected = answer(alone, order)
    if user not in people.photos or "code" in expected:
        with pytest.raises(NotFound if user not in people.photos else ModelMismatch):
            people.worker.verify(user, probe_of(body["descriptors"]))
        return
    found = people.worker.verify(user, probe_of(body["descriptors"]))
    assert (found.distance, found.threshold, found.model, found.verified) == (
        expected["distance"],
        expected["threshold"],
        expected["model"],
        "regNo" in expected,
    )


def test_mixtures_are_decided_as_by_a_loop_over_plain_numbers_on_every_database(open_gallery: Open) -> None:
    order: Any = "dlib+retail"
    people, seen = People([open_gallery(decision_models=order) for _ in range(2)], 1), Counter[str]()
    for step in range(45):
        people.change()
        if step % 3 == 2:
            check(people, order, seen)
    assert min(people.changes[kind] for kind in ("completed", "erased")) > 0
    assert {"pair", RETAIL} <= {"pair" if "+" in kind else kind.split()[0] for kind in seen}, seen


@pytest.mark.parametrize("order", ORDERS)
def test_mixtures_are_decided_as_by_a_loop_over_plain_numbers(tmp_path: Path, order: Any) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    people, seen = People([Gallery(url, decision_models=order) for _ in range(2)], 2), Counter[str]()
    for _ in range(20):
        people.change()
        people.change()
        check(people, order, seen)
    names = [DLIB, RETAIL, *([PAIR] if order == "dlib+retail" else [])]
    assert not {f"{name} False" for name in names} - seen.keys(), seen
    assert seen["another space's runner-up"]
    people.workers = [Gallery(url, decision_models=order)]  # reads all at once
    for _ in range(5):
        check(people, order, seen)


@pytest.mark.parametrize("order", ORDERS)
def test_the_cohort_rule_decides_by_the_least_risk_of_the_spaces_candidates(tmp_path: Path, order: Any) -> None:
    people = People([Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models=order)], 7)
    for user in range(60):
        people.add(str(user), 20, list(people.dice.choice(WAYS)))
    for user in range(0, 60, 7):
        people.add(str(user), 21, [DLIB])
    seen = Counter[str]()
    for turn in range(24):
        numbers = face(people.dice.randrange(62), people.dice.choice([22, 5]))
        models = WAYS[turn % 5] if turn % 3 else [DLIB, RETAIL]
        rule: dict[str, Any] = {"rule": "cohort", "alpha": (0.05, 0.02, 0.001)[turn % 3]}
        body = people.body() | {"descriptors": {model: numbers[model] for model in models}, "model": models[0]}
        body |= {"template": ("nearest", "mean")[turn % 2], "decision": rule}
        expected = answer(body, order)
        found = answered(people.workers[0], body, Rule("cohort", rule["alpha"]))
        assert {name: found.get(name) for name in expected if name not in LEFT_OUT} == {
            name: value for name, value in expected.items() if name not in LEFT_OUT
        }
        assert found.get("stranger_risk") == (
            pytest.approx(expected["stranger_risk"]) if "stranger_risk" in expected else None
        )
        seen[f"{expected.get('code') or expected['model']} {'regNo' in expected}"] += 1
    assert len(seen) > 3, seen


def vectors(person: int, photo: int = 0) -> dict[str, np.ndarray]:
    return {model: np.array(numbers, np.float32) for model, numbers in face(person, photo).items()}


def enrol(gallery: Gallery, user: str, person: int, models: list[str], photo: int = 0, **options: Any) -> list[Record]:
    """Enrol a photo with its descriptors by these models; the first one's is in the table of faces."""
    own = vectors(person, photo)
    new = NewFace(own[models[0]], f"{person} {photo}".encode(), companions={model: own[model] for model in models[1:]})
    return gallery.enrol(Person(None, user), [new], find_card(models[0]), **options)  # type: ignore[arg-type]


def test_a_photo_is_one_however_many_networks_have_looked_at_it(gallery: Gallery) -> None:
    (first,) = enrol(gallery, "1", 1, [DLIB])
    (again,) = enrol(gallery, "1", 1, [DLIB, RETAIL], max_faces=1)
    (by_retail,) = enrol(gallery, "1", 1, [RETAIL], max_faces=1)
    (retail_first,) = enrol(gallery, "1", 1, [RETAIL, DLIB], max_faces=1)
    assert first.id == again.id == by_retail.id == retail_first.id
    enrol(gallery, "1", 1, [RETAIL], photo=1)
    assert gallery.page(0, 10)[0] == gallery.rebuild() == 2
    found = statistics(gallery)
    assert (found["people"], found["faces"], found["models"]) == (1, 2, {DLIB: 1, RETAIL: 2})
    assert len(gallery.erase_user("1").records) == 2
    assert statistics(gallery)["models"] == {}
    assert gallery.match(probe_of(face(1, 0))).nearest is None


def test_a_companion_that_is_comparable_with_the_photos_own_descriptor_is_left_out(gallery: Gallery) -> None:
    enrol(gallery, "1", 1, [DLIB, FACEAPI, RETAIL])
    assert statistics(gallery)["models"] == {DLIB: 1, RETAIL: 1}


def test_duplicates_are_found_in_the_preferred_space_that_both_share(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    enrol(gallery, "both", 1, [DLIB, RETAIL])
    enrol(gallery, "dlib", 2, [DLIB])
    near, far = vectors(1), vectors(3)
    for new, space in (
        (NewFace(near[DLIB], b"a", companions={RETAIL: near[RETAIL]}), PAIR),
        (NewFace(near[RETAIL], b"b"), RETAIL),
        (NewFace(near[DLIB], b"c"), DLIB),
    ):
        card = find_card(DLIB if len(new.descriptor) == 128 else RETAIL)
        with pytest.raises(Duplicate) as caught:
            gallery.enrol(Person(None, "new"), [new], card)  # type: ignore[arg-type]
        assert (caught.value.context["user_id"], space) == ("both", space)
    # By dlib alone it would be a duplicate, by both it is none.
    gallery.enrol(Person(None, "new"), [NewFace(near[DLIB], b"d", companions={RETAIL: -near[RETAIL]})], find_card(DLIB))  # type: ignore[arg-type]
    two = NewFace(vectors(2)[DLIB], b"e", companions={RETAIL: far[RETAIL]})
    with pytest.raises(Duplicate) as caught:  # the other has no pair
        gallery.enrol(Person(None, "newer"), [two], find_card(DLIB))  # type: ignore[arg-type]
    assert caught.value.context["user_id"] == "dlib"


def test_a_photo_that_is_not_the_persons_is_refused_by_what_their_photos_share(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    enrol(gallery, "1", 1, [DLIB])
    with pytest.raises(InconsistentPerson) as caught:
        enrol(gallery, "1", 2, [DLIB, RETAIL])
    assert caught.value.context["limit"] == 0.6
    enrol(gallery, "2", 5, [DLIB, RETAIL])
    wrong = NewFace(vectors(5)[DLIB], b"w", companions={RETAIL: -vectors(5)[RETAIL]})
    with pytest.raises(InconsistentPerson) as caught:
        gallery.enrol(Person(None, "2"), [wrong], find_card(DLIB))  # type: ignore[arg-type]
    assert caught.value.context["limit"] == 0.855


def test_an_export_has_all_descriptors_and_is_restored_exactly(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    gallery = Gallery(url, decision_models="dlib+retail")
    enrol(gallery, "1", 1, [DLIB, RETAIL])
    enrol(gallery, "1", 1, [DLIB], photo=1)
    enrol(gallery, "2", 2, [DLIB])
    text = io.StringIO()
    assert export_members(gallery, text) == 3
    members = json.loads(text.getvalue())["enrolled"]
    assert [value is None for value in members[0]["descriptors"][RETAIL]] == [False, True]
    assert isinstance(members[1]["descriptors"], list)
    posted = parse(json.dumps({"descriptors": face(1, 0), "enrolled": members}).encode())
    assert decide(posted, order="dlib+retail").model == PAIR
    other = Gallery(f"sqlite:///{tmp_path}/other.sqlite", decision_models="dlib+retail")
    assert import_document(other, text.getvalue()).new == 3
    again = io.StringIO()
    assert export_members(other, again) == 3
    assert again.getvalue() == text.getvalue()
    for person in (1, 2, 3):
        asked = probe_of({model: face(person, 0)[model] for model in (DLIB, RETAIL)})
        assert other.match(asked, explain=True) == gallery.match(asked, explain=True)
    # A photo that is stored already gets what it lacks.
    members[1]["descriptors"] = {DLIB: members[1]["descriptors"], RETAIL: [face(2, 0)[RETAIL]]}
    assert import_document(other, json.dumps(members)).new == 0
    assert statistics(other)["models"] == {DLIB: 3, RETAIL: 2}


def test_an_import_finds_two_people_with_one_face_by_what_their_photos_share(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    enrol(gallery, "1", 1, [DLIB, RETAIL])
    one, other = face(1, 0), face(2, 0)

    def load(**descriptors: Any) -> int:
        named = {{"dlib": DLIB, "retail": RETAIL}[name]: value for name, value in descriptors.items()}
        document = json.dumps([{"regNo": "new", "name": "New", "descriptors": named}]).encode()
        return import_document(gallery, document).new

    for descriptors in ({"dlib": one[DLIB]}, {"retail": one[RETAIL]}, {"dlib": one[DLIB], "retail": one[RETAIL]}):
        with pytest.raises(Duplicate):
            load(**descriptors)
    assert load(dlib=one[DLIB], retail=other[RETAIL]) == 1


def test_what_is_erased_leaves_the_file_with_its_companions(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    gallery = Gallery(f"sqlite:///{path}")
    (record,) = enrol(gallery, "1", 1, [DLIB, RETAIL])
    enrol(gallery, "2", 2, [DLIB, RETAIL])
    needle = vectors(1)[RETAIL].tobytes()[:64]

    def held() -> bool:
        return any(needle in each.read_bytes() for each in tmp_path.iterdir())

    assert held()
    assert not gallery.erase_record(record.id).pending
    assert not held()
    # Also what another program deletes, which knows the table of faces alone.
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM faces")
        assert connection.execute("SELECT count(*) FROM companions").fetchone() == (0,)


def test_a_deleted_row_takes_its_companions_along_on_every_database(database_url: str) -> None:
    gallery = Gallery(database_url)
    enrol(gallery, "1", 1, [DLIB, RETAIL])
    with gallery.database.writing() as connection:
        connection.execute(sa.text("DELETE FROM faces"))
        assert connection.scalar(sa.text("SELECT count(*) FROM companions")) == 0
    gallery.close()


def test_a_gallery_of_one_model_keeps_and_reads_nothing_for_others(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    for user in range(3):
        enrol(gallery, str(user), user, [DLIB])
    for models in ([DLIB], [DLIB, RETAIL]):
        assert gallery.match(probe_of({model: face(1, 0)[model] for model in models})).distance == 0
    assert gallery.sizes() == {DLIB: 3}
    assert gallery._spaces._people._people is None
    # With pairs of everybody, the other spaces are not read for a probe of both.
    for user in range(3):
        enrol(gallery, str(user), user, [DLIB, RETAIL])
    late = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", decision_models="dlib+retail")
    late.load()
    assert late.match(probe_of({model: face(1, 0)[model] for model in (DLIB, RETAIL)})).model == PAIR
    assert late.sizes() == {PAIR: 3}
    assert late.match(probe_of({RETAIL: face(1, 0)[RETAIL]})).model == RETAIL
    assert late.sizes() == {PAIR: 3, RETAIL: 3}


def test_a_record_and_the_users_of_its_name_are_one_person_in_all_spaces(open_gallery: Open) -> None:
    """The record has the pair: the user of its name is decided by that, not by their own photo."""
    gallery = open_gallery()
    own, other = vectors(1), vectors(2)
    gallery.enrol(Person("Ada", "7"), [NewFace(own[DLIB], b"x")], find_card(DLIB))  # type: ignore[arg-type]
    record = NewFace(own[DLIB], b"y", companions={RETAIL: other[RETAIL]})
    gallery.enrol(Person.of_new_record("Ada"), [record], find_card(DLIB), force=True)  # type: ignore[arg-type]
    asked = probe_of({model: face(1, 0)[model] for model in (DLIB, RETAIL)})
    for order, model, wanted in (("dlib+retail", PAIR, None), ("dlib", DLIB, 0.0)):
        decided = open_gallery(decision_models=order).match(asked)
        assert decided.model == model
        assert wanted is None or decided.distance == wanted
