"""The trail page by page: those of an action, some entries at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from trails import write_entries

from face128.gallery.gallery import Gallery
from face128.gallery.trail import reading
from face128.gallery.trail.chain import record
from face128.gallery.trail.reading import block, searched


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def trailed(request: pytest.FixtureRequest, new_gallery: Callable[[str], str]) -> Iterator[Gallery]:
    """A gallery whose trail has 15 entries: 2 to 11 are enrolments, 14 an erasure."""
    gallery = Gallery(new_gallery(request.param), trail=True)
    write_entries(gallery)
    for action in ("list", "erase", "list"):
        with gallery.database.writing() as connection:
            record(connection, action, person="3")
    yield gallery
    gallery.close()


def pages(gallery: Gallery, limit: int, **wanted: Any) -> list[list[int]]:
    """The numbers of the entries, page after page."""
    found, before = [], None
    with gallery.database.reading() as connection:
        for _ in range(20):
            entries, before = searched(connection, limit, before=before, **wanted)
            found.append([entry.seq for entry in entries])
            if before is None:
                return found
    raise AssertionError(found)


def flat(found: list[list[int]]) -> list[int]:
    return [number for page in found for number in page]


def test_pages_follow_each_other_from_the_newest_on(trailed: Gallery) -> None:
    assert flat(pages(trailed, 4)) == list(range(15, 0, -1))
    assert flat(pages(trailed, 4, person="3")) == [15, 14, 13, 12, 5]


def test_those_of_an_action_are_found_some_entries_at_a_time(trailed: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages(trailed, 50, action="erase") == [[14]]
    assert pages(trailed, 50, action="nothing") == [[]]
    monkeypatch.setattr(reading, "SEARCHED_ENTRIES", 4)
    assert pages(trailed, 50, action="erase") == [[14], [], [], []]
    assert flat(pages(trailed, 3, action="enrol")) == list(range(11, 1, -1))
    assert flat(pages(trailed, 50, action="list", person="3")) == [15, 13]


def test_blocks_are_the_whole_trail(trailed: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_ENTRIES", 4)
    found, last = [], 0
    with trailed.database.reading() as connection:
        while entries := block(connection, last):
            found += entries
            last = entries[-1].seq
        assert found == list(reading.walk(connection))
    assert len(found) == 15
