"""Pages, positions and counts: as a list of all rows, sliced, whoever has changed the gallery meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa
from people import add_record, enrol, synthetic

from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces

PEOPLE = 24


def all_ids(database: Database) -> list[str]:
    """The plain reference: every row, sorted."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(faces.c.id, faces.c.record_id)).all()
    return [record_id for _, record_id in sorted(rows)]


def check(gallery: Gallery, reader: Gallery) -> None:
    ids = all_ids(gallery.database)
    for skip in (0, 1, len(ids) // 2, len(ids) - 3, len(ids), len(ids) + 5):
        total, records = reader.page(max(skip, 0), 7)
        assert total == len(ids)
        assert [record.id for record in records] == ids[max(skip, 0) :][:7]
        assert [record.position for record in records] == list(range(max(skip, 0), max(skip, 0) + len(records)))
    for position in range(0, len(ids), 5):
        assert reader.record(ids[position]).position == position
    assert [record.id for block in reader.walk(6) for record in block] == ids


@pytest.fixture
def two(database_url: str) -> tuple[Gallery, Gallery]:
    """As two processes: each knows nothing of the other."""
    return Gallery(database_url), Gallery(database_url)


def test_pages_are_slices_of_all_rows_after_changes_by_any_process(two: tuple[Gallery, Gallery]) -> None:
    random = np.random.default_rng(24)
    vectors = synthetic(PEOPLE)
    check(two[0], two[1])
    for number, vector in enumerate(vectors):
        changing, reading = two if random.integers(2) else two[::-1]
        enrol(changing, f"p{number}", vector, force=True)
        if number % 3 == 2:
            changing.erase_user(f"p{random.integers(number - 2, number)}" if number % 2 else f"p{number}")
            check(changing, reading)
            enrol(changing, f"p{number}", vector, name="Renamed", force=True)  # the last one, renamed or new
            check(changing, reading)
    with pytest.raises(NotFound):
        two[0].record("nobody")
    two[0].rebuild()
    check(*two)


def test_an_erased_record_moves_the_later_ones_forward(two: tuple[Gallery, Gallery]) -> None:
    first, second, third = (add_record(two[0], f"n{i}", vector, force=True) for i, vector in enumerate(synthetic(3)))
    assert [two[1].record(one.id).position for one in (first, second, third)] == [0, 1, 2]
    two[0].erase_record(first.id)
    assert [two[1].record(one.id).position for one in (second, third)] == [0, 1]
    with pytest.raises(NotFound):
        two[1].record(first.id)


def test_a_process_that_has_missed_thousands_of_erasures_reads_all_again(
    two: tuple[Gallery, Gallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face128.gallery.rows.statements.MAX_LISTED_VERSIONS", 2)
    for number, vector in enumerate(synthetic(8)):
        enrol(two[0], f"p{number}", vector, force=True)
    check(*two)
    for number in range(6):
        two[0].erase_user(f"p{number}")
    check(*two)


def test_a_walk_goes_on_behind_what_is_erased_meanwhile(two: tuple[Gallery, Gallery]) -> None:
    for number, vector in enumerate(synthetic(6)):
        enrol(two[0], f"p{number}", vector, force=True)
    seen = []
    for block in two[1].walk(2):
        seen += [record.person.user_id for record in block]
        two[0].erase_user(block[-1].person.user_id)  # the key that the next block begins behind
    assert seen == [f"p{number}" for number in range(6)]


def test_a_page_reads_no_more_rows_than_it_has(
    new_gallery: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statements of a page read the page's rows, and of an enrolment's record one row."""
    gallery = Gallery(new_gallery("sqlite"))
    stored = [add_record(gallery, f"n{i}", vector, force=True) for i, vector in enumerate(synthetic(PEOPLE))]
    gallery.page(0, 1)
    statements: list[str] = []
    engine = gallery.database._engine
    sa.event.listen(engine, "before_cursor_execute", lambda *event: statements.append(event[2].lower()))
    gallery.page(PEOPLE - 5, 5)
    gallery.record(stored[3].id)
    assert statements
    assert not any("count(" in statement or "offset" in statement for statement in statements), statements


def test_an_id_below_the_greatest_has_its_place(new_gallery: Callable[[str], str]) -> None:
    gallery = Gallery(new_gallery("sqlite"))
    first, second = synthetic(2)
    enrol(gallery, "a", first)
    with gallery.database.writing() as connection:
        connection.execute(sa.update(faces).values(id=100))
    assert gallery.page(0, 9)[0] == 1
    enrol(gallery, "b", second, force=True)
    with gallery.database.writing() as connection:
        connection.execute(sa.update(faces).where(faces.c.user_id == "b").values(id=50))
    assert [(record.person.user_id, record.position) for record in gallery.page(0, 9)[1]] == [("b", 0), ("a", 1)]
