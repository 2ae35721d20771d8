"""One changed bit of a sealed row is refused and named; the others serve."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from encrypted_galleries import Place, people_nobody_else_has
from people import matched_reg_no

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.gallery.encryption.keystore import person_keys
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage.tables import companions, faces

PEOPLE = people_nobody_else_has(10)
SECOND = people_nobody_else_has(20, 3).reshape(10, 256)


def filled(place: Place) -> None:
    """Ten people; the photos of the last five have descriptors by two networks."""
    with closing(place.open()) as gallery:
        for number, vector in enumerate(PEOPLE):
            others = {RETAIL.name: SECOND[number]} if number >= 5 else {}
            face = NewFace(vector, vector.tobytes(), companions=others)
            gallery.enrol(Person(f"Person {number}", str(number)), [face], DLIB, force=True)


def flipped(value: Any, bit: int) -> Any:
    if isinstance(value, str):  # of a token: another digit
        place = bit % len(value)
        return value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
    changed = bytearray(value)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def change(place: Place, column: sa.ColumnElement[Any], face_id: int, bit: int) -> None:
    engine = sa.create_engine(place.url)
    table: Any = column.table  # type: ignore[attr-defined]
    own = (table.c.face_id if table is companions else table.c.id) == face_id
    with engine.begin() as connection:
        value = connection.scalar(sa.select(column).where(own))
        connection.execute(sa.update(table).where(own).values({column: flipped(value, bit)}))
    engine.dispose()


def ids(gallery: Gallery) -> dict[str, int]:
    return {record.person.user_id: record.face_id for record in gallery.page(0, 100)[1]}


@pytest.mark.parametrize("template", ["nearest", "mean"])
@pytest.mark.parametrize(
    ("column", "bit"),
    [
        *((faces.c.embedding, bit) for bit in (0, 100, 2000, 539 * 8)),  # nonce, descriptor, tag
        *((faces.c.sealed, bit) for bit in (0, 200)),
        *((column, 5) for column in (faces.c.user_id, faces.c.name, faces.c.record_id)),
        (companions.c.embedding, 999),
    ],
    ids=str,
)
def test_the_row_is_left_out_and_named(
    sqlite_place: Place, column: sa.ColumnElement[Any], bit: int, template: Any, caplog: pytest.LogCaptureFixture
) -> None:
    filled(sqlite_place)
    with closing(sqlite_place.open()) as gallery:
        damaged = ids(gallery)["7"]
    change(sqlite_place, column, damaged, bit)
    caplog.set_level(logging.ERROR, "face128")
    with closing(sqlite_place.open(template=template)) as gallery:
        found = [matched_reg_no(gallery, vector) for vector in PEOPLE]
        assert found == [str(number) if number != 7 else None for number in range(10)]
        both = Probe.of(DLIB, PEOPLE[7], {RETAIL.name: SECOND[7]})
        assert not gallery.match(both, rule=Rule("cohort", 0.4)).matched
        assert gallery.page(0, 100)[1][-1].person.user_id == "9"
        gallery.examine()
        state = gallery.details()["encryption"]
        assert (state["damaged_faces"], state["damaged"]) == (1, [damaged])
        assert f"the face {damaged} " in caplog.text
        assert "7" not in ids(gallery)


def test_two_rows_cannot_exchange_what_they_hold(sqlite_place: Place) -> None:
    """Whoever writes in the database could otherwise give one person's face to another."""
    filled(sqlite_place)
    engine = sa.create_engine(sqlite_place.url)
    with engine.begin() as connection:
        rows = connection.execute(sa.select(faces).where(faces.c.id.in_([1, 2])).order_by(faces.c.id)).mappings().all()
        for own, other in (rows, rows[::-1]):
            moved = {name: other[name] for name in ("embedding", "sealed", "key_id")}
            connection.execute(sa.update(faces).where(faces.c.id == own["id"]).values(moved))
    engine.dispose()
    with closing(sqlite_place.open()) as gallery:
        assert [matched_reg_no(gallery, vector) for vector in PEOPLE[:3]] == [None, None, "2"]


def test_a_changed_key_is_damage_and_nobody_counts_as_erased(sqlite_place: Place) -> None:
    filled(sqlite_place)
    with closing(sqlite_place.open()) as gallery, gallery.database.reading() as connection:
        key_id = connection.scalar(sa.select(faces.c.key_id).where(faces.c.id == 3))
    engine = sa.create_engine(sqlite_place.keystore_url)
    with engine.begin() as connection:
        own = person_keys.c.key_id == key_id
        value = connection.scalar(sa.select(person_keys.c.wrapped).where(own))
        connection.execute(sa.update(person_keys).where(own).values(wrapped=flipped(value, 77)))
    engine.dispose()
    with closing(sqlite_place.open()) as gallery:
        assert [matched_reg_no(gallery, vector) for vector in PEOPLE[:4]] == ["0", "1", None, "3"]
        state = gallery.details()["encryption"]
        assert (state["erased_faces"], state["damaged_faces"]) == (0, 1)
