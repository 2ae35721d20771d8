"""ReadWriteLock: readers share it, a writer has it alone, and nobody waits without end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from face128.errors import NotReady
from face128.gallery.search.rwlock import ReadWriteLock


def enter(lock: ReadWriteLock, *, write: bool) -> bool:
    with lock.writing() if write else lock.reading():
        return True


def test_readers_share_the_lock_and_a_writer_that_waits_too_long_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face128.gallery.search.rwlock.LOCK_TIMEOUT_S", 0.1)
    lock = ReadWriteLock()
    with ThreadPoolExecutor(1) as thread, lock.reading():
        assert thread.submit(enter, lock, write=False).result(30)
        with pytest.raises(NotReady):
            thread.submit(enter, lock, write=True).result(30)
    assert enter(lock, write=True)


def test_nobody_else_has_the_lock_of_a_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face128.gallery.search.rwlock.LOCK_TIMEOUT_S", 0.1)
    lock = ReadWriteLock()
    with ThreadPoolExecutor(1) as thread, lock.writing():
        for write in (True, False):
            with pytest.raises(NotReady):
                thread.submit(enter, lock, write=write).result(30)
    assert enter(lock, write=False)
