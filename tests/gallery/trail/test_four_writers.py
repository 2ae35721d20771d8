"""Four processes write to one trail and are killed: it has every acknowledged deed, and nothing is out of place."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import sqlalchemy as sa
import trail_writer

from face128.gallery.gallery import Gallery
from face128.gallery.storage.tables import trail
from face128.gallery.trail.check import check
from face128.gallery.trail.reading import walk

WRITERS = 4
# TRAIL_ENTRIES=10000 takes about a minute for each database.
ENTRIES = int(os.environ.get("TRAIL_ENTRIES", 300))
KILLS = 2
TIMEOUT_S = 300
FORKS = multiprocessing.get_context("forkserver")  # so that a writer starts at once
FORKS.set_forkserver_preload(["alembic.command", "face128.gallery.gallery"])


def test_every_acknowledged_deed_is_on_the_trail_after_kills(database_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    gallery = Gallery(database_url, trail=True)
    try:
        for kill in range(1, KILLS + 1):
            writers = [_writer(database_url, ledger) for _ in range(WRITERS)]
            try:
                _wait_for(gallery, ENTRIES * kill // KILLS, writers)
            finally:
                for writer in writers:
                    writer.kill()
                    writer.join(TIMEOUT_S)
        with gallery.database.reading() as connection:
            found = check(connection)
            entries = list(walk(connection))
    finally:
        gallery.close()
    assert found.faults == []
    assert found.entries == len(entries) >= ENTRIES
    assert len({entry.actor for entry in entries} - {""}) == KILLS * WRITERS
    acknowledged = Counter(tuple(line.split()[:2]) for line in ledger.read_text().splitlines())
    recorded = Counter((entry.request_id, entry.action) for entry in entries)
    assert len(acknowledged) > ENTRIES / 2
    assert {action for _, action in acknowledged} == {"enrol", "erase", "read"}
    assert acknowledged <= recorded
    assert max(recorded.values()) == 1  # and none twice


def _writer(url: str, ledger: Path) -> BaseProcess:
    writer = FORKS.Process(target=trail_writer.main, args=(url, str(ledger)), daemon=True)
    writer.start()
    return writer


def _wait_for(gallery: Gallery, entries: int, writers: list[BaseProcess]) -> None:
    """Wait until there are so many entries, and each of the writers has written some."""
    own = {f"writer-{writer.pid}" for writer in writers}
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with gallery.database.reading() as connection:
            actors = set(connection.scalars(sa.select(trail.c.actor).distinct()))
            if connection.scalars(sa.select(sa.func.max(trail.c.seq))).one() >= entries and own <= actors:
                return
        assert time.monotonic() < deadline
        assert all(writer.is_alive() for writer in writers)
        time.sleep(0.05)
