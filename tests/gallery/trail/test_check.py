"""One entry that is changed, removed, moved or added is found; and what nobody without the key can hide."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from trails import write_entries

from face128.gallery.gallery import Gallery
from face128.gallery.storage.tables import state, trail
from face128.gallery.trail import reading
from face128.gallery.trail.check import Checked, Head, check
from face128.gallery.trail.entry import Entry

Tampering = Callable[[sa.Connection], Any]


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def trailed(request: pytest.FixtureRequest, new_gallery: Callable[[str], str]) -> Iterator[Gallery]:
    """A gallery whose trail has 12 entries. Tests leave it as it is."""
    gallery = Gallery(new_gallery(request.param), trail=True)
    write_entries(gallery)
    yield gallery
    gallery.close()


def checked(gallery: Gallery, head: Head | None = None) -> Checked:
    with gallery.database.reading() as connection:
        return check(connection, head)


def tampered(gallery: Gallery, how: Tampering, head: Head | None = None) -> list[str]:
    """The faults after somebody has been at the database past face128; then all is as before."""
    with sa.create_engine(gallery.database._engine.url).connect() as connection:
        how(connection)
        faults = check(connection, head).faults
        connection.rollback()
    return faults


def edit(seq: int, /, **values: object) -> Tampering:
    return lambda connection: connection.execute(sa.update(trail).where(trail.c.seq == seq).values(**values))


def remove(*seqs: int) -> Tampering:
    return lambda connection: connection.execute(sa.delete(trail).where(trail.c.seq.in_(seqs)))


def swap(one: int, other: int) -> Tampering:
    """Let two entries change places."""

    def run(connection: sa.Connection) -> None:
        for before, after in ((one, 1000), (other, one), (1000, other)):
            edit(before, seq=after)(connection)

    return run


def insert(seq: int) -> Tampering:
    """A copy of the entry before, as the next one."""

    def run(connection: sa.Connection) -> None:
        copied = connection.execute(sa.select(trail).where(trail.c.seq == seq - 1)).mappings().one()
        connection.execute(sa.insert(trail).values({**copied, "seq": seq}))

    return run


def cut_off(connection: sa.Connection) -> None:
    """Remove the last two entries, and put the end in ``state`` where it was before them."""
    remove(11, 12)(connection)
    last = connection.execute(sa.select(trail).where(trail.c.seq == 10)).one()
    connection.execute(sa.update(state).values(trail_seq=10, trail_hash=last.hash))


def test_a_trail_that_nobody_touched_is_found_complete(trailed: Gallery) -> None:
    found = checked(trailed)
    assert (found.entries, found.faults, found.keyed_from) == (12, [], None)
    assert found.head is not None
    assert found.head.seq == 12
    assert checked(trailed, found.head).faults == []
    assert Head.parse(str(found.head)) == found.head


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        *((edit(5, **{column: "x"}), "Entry 5 was changed") for column in ("actor", "action", "person", "result")),
        *((edit(5, **{column: "x"}), "Entry 5 was changed") for column in ("collection", "request_id", "details")),
        (edit(5, at="2026-11-30T00:00:00.000000Z"), "Entry 5 was changed"),
        (edit(5, hash="0" * 64), "Entry 5 was changed"),
        (edit(12, result="x"), "Entry 12 was changed"),
        (edit(5, details="no JSON \\"), "Entry 5 was changed"),
        (edit(5, hash_key="0123456789abcdef"), "Entry 5 was made with another key"),
        (remove(5), "Entry 5 is missing."),
        (remove(1), "Entry 1 is missing."),
        (remove(12), "Entry 12 is missing."),
        (remove(9, 10, 11, 12), "Entries 9 to 12 are missing."),
        (remove(*range(1, 13)), "no entry"),
        (swap(4, 5), "Entry 4 was changed, or is not in its place."),
        (insert(13), "The entries after 12 were not written by face128."),
        (cut_off, "The seal over all entries is wrong"),
    ],
)
def test_what_is_changed_behind_its_back_is_found(trailed: Gallery, tampering: Tampering, fault: str) -> None:
    faults = tampered(trailed, tampering)
    assert any(fault in each for each in faults), faults


def test_what_is_no_text_is_found_in_sqlite_too(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", trail=True)
    write_entries(gallery)
    for column in ("actor", "details", "hash", "at"):
        for value in ("X'00FF'", "7", "'\u00e9\u4e00'"):
            with sa.create_engine(gallery.database._engine.url).connect() as connection:
                connection.exec_driver_sql(f"UPDATE trail SET {column} = {value} WHERE seq = 5")
                faults = check(connection).faults
                assert "Entry 5 was changed, or is not in its place." in faults, (column, value)
                assert all(json.dumps(reading.readable(entry)) for entry in reading.walk(connection))
                connection.rollback()
    with sa.create_engine(gallery.database._engine.url).connect() as connection:
        connection.exec_driver_sql("UPDATE trail SET seq = 'last' WHERE seq = 12")
        assert check(connection).faults
    gallery.close()


@pytest.mark.parametrize("tampering", [remove(5), remove(12), cut_off])
def test_what_is_recorded_afterwards_hides_nothing(tmp_path: Path, tampering: Tampering) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite", trail=True)
    write_entries(gallery)
    assert checked(gallery).faults == []
    with sa.create_engine(gallery.database._engine.url).begin() as connection:
        tampering(connection)
    for _ in range(3):
        gallery.accounts.note("list")
    found = checked(gallery)
    gallery.close()
    assert found.faults
    assert found.entries >= 13


def test_a_kept_head_finds_a_trail_that_was_written_anew(trailed: Gallery) -> None:
    """Without encryption, who may write the database and knows the formula can make another trail without a fault."""
    head = checked(trailed).head
    assert head is not None

    def rewrite(connection: sa.Connection) -> None:
        before, seal = "", ""
        rows = connection.execute(sa.select(*reading.COLUMNS).order_by(trail.c.seq)).all()
        connection.execute(sa.delete(trail))
        for row in rows:
            values = row._asdict() | ({"person": "0" * 32} if row.seq == 5 else {})
            before = values["hash"] = documented_hash(before, values)
            seal = hashlib.sha256(f"seal {seal} {before}".encode()).hexdigest()
            connection.execute(sa.insert(trail).values(values))
        connection.execute(sa.update(state).values(trail_hash=before, trail_seal=seal))

    assert tampered(trailed, rewrite) == []
    rewritten = "Entry 12 is not the one of the head that was kept: the trail was rewritten."
    assert tampered(trailed, rewrite, head) == [rewritten]
    assert "missing" in checked(trailed, Head(13, head.hash)).faults[0]


def test_the_formula_is_the_documented_one(trailed: Gallery) -> None:
    before = ""
    with trailed.database.reading() as connection:
        lines = [json.loads(reading.as_stored(entry)) for entry in reading.walk(connection)]
    assert [line["seq"] for line in lines] == list(range(1, 13))
    for line in lines:
        assert line["hash"] == documented_hash(before, line)
        before = line["hash"]


def documented_hash(before: str, entry: dict[str, Any]) -> str:
    """docs/trail.md has this."""
    fields = [value for name, value in entry.items() if name != "hash"]
    text = before + "\n" + json.dumps(fields, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_pages_of_the_trail(trailed: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_ENTRIES", 5)
    with trailed.database.reading() as connection:
        everything = list(reading.walk(connection))
        assert [entry.seq for entry in everything] == list(range(1, 13))
        first = reading.page(connection, 7)
        second = reading.page(connection, 7, before=first[-1].seq)
        assert first + second == everything[::-1]
        of_person = reading.page(connection, 10, person="3")
        assert [(entry.action, entry.person == "*") for entry in of_person] == [("export", True), ("enrol", False)]
        assert of_person[1].seq == 5
        assert [entry.action for entry in reading.page(connection, 10, person="nobody")] == ["export"]
    assert not any("3" in (entry.person, entry.details) for entry in everything)
    assert all(isinstance(entry, Entry) for entry in everything)
