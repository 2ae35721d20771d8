"""Pages of people, searches and counts: as the plain list of everybody says, by an index alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from people import enrol, synthetic

from face128.errors import InvalidRequest
from face128.gallery.gallery import Gallery
from face128.gallery.people import people_pages
from face128.gallery.trail import decisions

FACES = synthetic(1)


@pytest.mark.parametrize("block", [1, 2, 500])
def test_a_search_finds_who_has_the_text_across_all_blocks(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(people_pages, "BATCH_ROWS", block)
    names = {"1": "Ann", "2": "Änne", "3": "ANNA", "4": "Joe", "ann-5": "Zoë", "6": "Grüße"}
    for user_id, name in names.items():
        enrol(gallery, user_id, FACES[0], name, force=True)
    for text in ("ann", "ä", "ZOË", "grüsse", "5", "", "nobody", "%", "_", "\0"):
        wanted = text.casefold()
        expected = {one for one, name in names.items() if wanted in one.casefold() or wanted in name.casefold()}
        found: list[str] = []
        after = None
        while True:
            page, after = people_pages.page(gallery.database, after, 2, text)
            found += [one.person.user_id for one in page]
            if after is None:
                break
        assert sorted(found) == sorted(expected), text


def test_each_person_of_the_collection_counts_once(gallery: Gallery) -> None:
    assert people_pages.count(gallery.database) == 0
    for user_id in ("1", "2"):
        enrol(gallery, user_id, FACES[0], force=True)
    enrol(gallery, "2", synthetic(3)[2], force=True)
    enrol(gallery.of_collection("site"), "3", FACES[0])
    assert [people_pages.count(one.database) for one in (gallery, gallery.of_collection("site"))] == [2, 1]
    gallery.erase_user("2")
    assert people_pages.count(gallery.database) == 1


def test_a_nul_is_refused_by_every_database(gallery: Gallery) -> None:
    with pytest.raises(InvalidRequest, match="after"):
        people_pages.page(gallery.database, "a\0")
    with gallery.database.reading() as connection, pytest.raises(InvalidRequest, match="user_id"):
        decisions.page(connection, 1, user_id="\0a")


@pytest.mark.parametrize(
    "ask",
    [
        lambda gallery: people_pages.count(gallery.database),
        lambda gallery: people_pages.page(gallery.database, "1", 2, "nobody"),
        lambda gallery: people_pages.page(gallery.database, "2"),
    ],
    ids=["count", "search", "page"],
)
def test_nobody_else_is_read(tmp_path: Path, ask: Callable[[Gallery], object]) -> None:
    """Of a small collection beside a large one, only the index on its own people."""
    statements: list[tuple[str, tuple[object, ...]]] = []

    def remember(_: object, __: object, statement: str, parameters: tuple[object, ...], *___: object) -> None:
        if "faces" in statement:
            statements.append((statement, parameters))

    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery:
        enrol(gallery, "1", FACES[0])
        sa.event.listen(sa.Engine, "before_cursor_execute", remember)
        try:
            ask(gallery)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", remember)
    with closing(sqlite3.connect(tmp_path / "gallery.sqlite")) as connection:
        plans = [
            connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            for statement, parameters in statements
        ]
    assert plans
    for (plan,) in plans:
        assert plan[3].startswith("SEARCH faces USING COVERING INDEX ix_faces_person (collection=?"), plan
