"""The trail of an encrypted gallery: who has the database but not the key can forge nothing, and try no ids."""

from __future__ import annotations

import hashlib
from contextlib import closing

import numpy as np
import pytest
import sqlalchemy as sa
from encrypted_galleries import Place
from people import enrol

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.people.retention import Retention
from face128.gallery.storage.tables import state, trail
from face128.gallery.trail import decisions, reading
from face128.gallery.trail.check import check
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.entry import mark

ONE, TWO = (np.full(128, value, np.float32) for value in (0.1, 0.9))


@pytest.fixture
def place(place: Place) -> Place:
    """A gallery with somebody in clear and a trail, which was encrypted when the second one was enrolled."""
    with closing(place.open(None, trail=True)) as gallery:
        enrol(gallery, "1", ONE)
    with closing(place.open()) as gallery:
        gallery.accounts.note("read", person="1")
        enrol(gallery, "2", TWO)
        gallery.accounts.note("read", person="2")
        gallery.accounts.note("read", person="1")
    return place


def test_the_hashes_need_the_key_from_the_first_sealed_row_on(place: Place) -> None:
    with closing(place.open()) as gallery, gallery.database.reading() as connection:
        found = check(connection)
        keyed = [entry.action for entry in reading.walk(connection) if entry.hash_key]
        about = {each: [entry.action for entry in reading.page(connection, 9, person=each)] for each in ("1", "2")}
        (local_key,) = connection.scalars(sa.select(state.c.trail_key)).all()
        marks = set(connection.scalars(sa.select(trail.c.person)))
    assert found.faults == []
    assert found.keyed_from == 4
    assert keyed == ["enrol", "read", "read"]
    assert about == {"1": ["read", "read", "enrol"], "2": ["read", "enrol"]}
    assert mark(bytes.fromhex(local_key), "", "1") in marks  # before it was encrypted
    assert mark(bytes.fromhex(local_key), "", "2") not in marks


def test_nobody_without_the_key_can_forge_or_shorten_it(place: Place) -> None:
    with closing(place.open()) as gallery, gallery.database.reading() as connection:

        def faults(*statements: sa.Executable) -> list[str]:
            with connection.begin_nested() as forging:
                for statement in statements:
                    connection.execute(statement)
                found = check(connection).faults
                forging.rollback()
            return found

        entries = list(reading.walk(connection))
        shortened = entries[:-1]
        last = sa.delete(trail).where(trail.c.seq == len(entries))
        end = sa.update(state).values(trail_seq=shortened[-1].seq, trail_hash=shortened[-1].hash)
        assert "The seal over all entries is wrong" in faults(last, end)[0]
        in_clear = end.values(trail_seal=seal_without_key([entry.hash for entry in shortened]))
        assert "The seal over all entries is wrong" in faults(last, in_clear)[0]

        forged: list[sa.Update] = []
        hashes = [""]
        for entry in entries:
            hashes.append(entry.chained(hashes[-1], None).hash)
            of_entry = sa.update(trail).where(trail.c.seq == entry.seq)
            forged.append(of_entry.values(hash=hashes[-1], hash_key=""))
        forged.append(sa.update(state).values(trail_hash=hashes[-1], trail_seal=seal_without_key(hashes[1:])))
        assert faults(*forged) == ["The trail was made without the gallery's key."]
        assert faults(forged[-2], forged[-1])


def seal_without_key(hashes: list[str]) -> str:
    seal = ""
    for each in hashes:
        seal = hashlib.sha256(f"seal {seal} {each}".encode()).hexdigest()
    return seal


def test_decisions_name_nobody_in_the_database_and_everybody_in_the_answer(place: Place) -> None:
    with closing(place.open(retention=Retention(decision_days=30))) as gallery:
        for descriptor in (ONE, TWO):
            gallery.accounts.keep_search(gallery.match(Probe.of(DLIB, descriptor)))
        assert [each.user_id for each in gallery.accounts.decisions(9)] == ["2", "1"]
        assert [each.user_id for each in gallery.accounts.decisions(9, user_id="2")] == ["2"]
        stored = _stored(gallery)
        assert stored[0] == "1"  # whose face is in clear
        assert "2" not in stored
        gallery.erase_user("2")
        assert [each.user_id for each in gallery.accounts.decisions(9)] == ["1"]
        assert _stored(gallery) == ["1"]


def _stored(gallery: Gallery) -> list[str]:
    with gallery.database.reading() as connection:
        return list(connection.scalars(sa.text("SELECT user_id FROM decisions ORDER BY id")))


def test_a_decision_outlives_the_sealing_of_its_person(place: Place) -> None:
    made = KeptDecision("search", "1", 0.2, None, "yes", "threshold", DLIB.name)
    with closing(place.open(retention=Retention(decision_days=30))) as gallery:
        with gallery.database.writing() as connection:
            decisions.keep(connection, [made], 30)
        enrol(gallery, "1", ONE + np.float32(0.01))  # their rows are sealed as one
        assert [each.user_id for each in gallery.accounts.decisions(9)] == ["1"]
        gallery.erase_user("1")
        assert _stored(gallery) == []
