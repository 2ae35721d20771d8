"""Only for SQLite: several processes open a new file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import sqlalchemy as sa

from face128.gallery.storage.sqlite_engine import sqlite_engine


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    together = Barrier(4, timeout=60)

    def journal_mode(number: int) -> str:
        (tmp_path / f"{number}.sqlite").touch()
        engine = sqlite_engine(sa.make_url(f"sqlite:///{tmp_path}/{number}.sqlite"), lock_timeout_s=30)
        together.wait()
        with engine.connect() as connection:
            mode: str = connection.execute(sa.text("PRAGMA journal_mode")).scalar_one()
        engine.dispose()
        return mode

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(journal_mode, (n // 4 for n in range(4 * 100)))) == {"wal"}
