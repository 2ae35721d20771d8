"""An SQLite file that is deleted, replaced, restored or damaged under a running gallery."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from fake_photos import create_record, fake_photo
from liveness import have_open, until
from people import enrol, photo_descriptor
from serving import serving

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import DatabaseUnavailable
from face128.gallery.gallery import Gallery
from face128.gallery.storage import sqlite_file
from face128.gallery.storage.database import REOPEN_AFTER_S
from face128.gallery.storage.sqlite_file import SqliteFile

NOTICED_WITHIN_S = 5.0
WAIT_S = 30.0


def delete(path: Path, backup: Path) -> None:
    path.unlink()


def rename_over(path: Path, backup: Path) -> None:
    shutil.copy(backup, f"{path}.new")
    os.replace(f"{path}.new", path)


def copy_over(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)


def restore(path: Path, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def write_garbage(path: Path, backup: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def damage_the_middle(path: Path, backup: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 2 * 4096))


FAULTS = {
    delete: "gallery_deleted",
    rename_over: "gallery_replaced",
    copy_over: "gallery_replaced",
    restore: "gallery_replaced",
    write_garbage: "gallery_corrupt",
    damage_the_middle: "gallery_corrupt",
}


def checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        action()
    return caught.value.code


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Another gallery, with one person."""
    path = tmp_path / "backup.sqlite"
    gallery = Gallery(f"sqlite:///{path}")
    enrol(gallery, "of the backup", photo_descriptor("obama-2012.jpg"))
    gallery.close()
    return path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("first", ["search", "enrol", "erase", "check"])
def test_nothing_is_acknowledged_and_the_reason_is_named(
    tmp_path: Path, backup: Path, fault: Callable[[Path, Path], None], first: str
) -> None:
    path = tmp_path / "gallery.sqlite"
    probe = photo_descriptor("obama-2012.jpg")
    gallery = Gallery(f"sqlite:///{path}")
    for number in range(40):  # some pages
        enrol(gallery, f"person {number}", probe * (number + 2), force=True)
    checkpoint(path)
    fault(path, backup)
    actions = {
        "search": lambda: gallery.search(Probe.of(DLIB, probe), 1),
        "enrol": lambda: enrol(gallery, "new", probe),
        "erase": lambda: gallery.erase_user("person 1"),
        "check": lambda: gallery.database.check(),
    }
    if fault in (restore, damage_the_middle) and first != "check":
        # Only the check, every two seconds, sees a transaction of another program, or pages that nobody needs now.
        codes = []
        try:
            actions[first]()
        except DatabaseUnavailable as error:
            codes.append(error.code)
        assert set(codes) <= {FAULTS[fault]}
        assert code_of(actions["check"]) == FAULTS[fault]
    else:
        assert code_of(actions[first]) == FAULTS[fault]
    assert {code_of(action) for action in actions.values()} == {FAULTS[fault]}
    gallery.close()


def test_an_older_backup_of_the_same_gallery_is_noticed(tmp_path: Path) -> None:
    path, backup = tmp_path / "gallery.sqlite", tmp_path / "backup.sqlite"
    probe = photo_descriptor("obama-2012.jpg")
    for fault in (copy_over, restore):
        gallery = Gallery(f"sqlite:///{path}")
        enrol(gallery, f"before {fault.__name__}", probe, force=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        enrol(gallery, f"after {fault.__name__}", probe, force=True)
        checkpoint(path)
        fault(path, backup)
        assert code_of(lambda gallery=gallery: enrol(gallery, "new", probe, force=True)) == "gallery_replaced"
        gallery.close()
        gallery = Gallery(f"sqlite:///{path}")
        assert "new" not in {record.person.user_id for record in gallery.page(0, 100)[1]}
        gallery.close()


def test_a_checkpoint_in_the_midst_of_which_a_process_was_killed_is_no_damage(tmp_path: Path) -> None:
    path, copy = tmp_path / "gallery.sqlite", tmp_path / "copy.sqlite"
    probe = photo_descriptor("obama-2012.jpg")
    gallery = Gallery(f"sqlite:///{path}")
    for number in range(40):
        enrol(gallery, f"person {number}", probe * (number + 2), force=True)
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    checkpoint(copy)
    assert copy.stat().st_size > path.stat().st_size
    # The first page tells of pages that are in the log only. Another process writes: a close here would end locks.
    arguments = [f"if={copy}", f"of={path}", "bs=4096", "count=1", "conv=notrunc"]
    subprocess.run(["dd", *arguments], check=True, capture_output=True, timeout=30)
    gallery.database.check()
    enrol(gallery, "new", probe)
    assert gallery.search(Probe.of(DLIB, probe), 1)[0].record.person.user_id == "new"
    gallery.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def until_ready(client: httpx.Client, code: str | None, timeout_s: float = 60) -> httpx.Response:
    """The first answer of /ready with this code; without one, the first with status 200."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = client.get("/ready")
        if answer.json().get("code") == code:
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def test_of_two_threads_that_look_at_once_the_slower_takes_the_file_for_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.sqlite"
    Gallery(f"sqlite:///{path}").close()
    file = SqliteFile(str(path))
    has_read, goes_on = threading.Event(), threading.Event()

    class SlowClosing(closing):  # type: ignore[type-arg]
        def __exit__(self, *details: object) -> None:
            super().__exit__(*details)
            if threading.current_thread().name == "slow":
                has_read.set()
                goes_on.wait(WAIT_S)

    with closing(sqlite3.connect(path, isolation_level=None)) as writer:

        def change() -> None:
            writer.execute("UPDATE state SET version = version + 1")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        change()
        known = writer.execute("SELECT gallery_id, version FROM state").fetchone()
        file.check(known)
        monkeypatch.setattr(sqlite_file, "closing", SlowClosing)
        errors: list[BaseException] = []

        def look() -> None:
            try:
                file.check(known)
            except DatabaseUnavailable as error:
                errors.append(error)

        slow, fast = (threading.Thread(target=look, name=name) for name in ("slow", "fast"))
        change()
        slow.start()
        assert has_read.wait(WAIT_S)
        change()
        fast.start()
        fast.join(0.5)  # it may wait for the other
        goes_on.set()
        for thread in (slow, fast):
            thread.join(WAIT_S)
            assert not thread.is_alive()
    assert errors == []


def test_a_running_service_names_it_and_serves_what_comes_instead(tmp_path: Path) -> None:
    workers = 2
    path, backup, moved = (tmp_path / f"{name}.sqlite" for name in ("gallery", "backup", "moved"))
    with serving(workers=workers, FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
        create_record(client, fake_photo(1), "Jane")
        until_ready(client, None)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        for number in range(2, 10):
            assert create_record(client, fake_photo(number), f"after the backup {number}").status_code == 200
        # The other worker, which has not been asked yet, notices that there is a gallery.
        until(lambda: len(have_open(path)) == workers)
        os.rename(path, moved)
        ready = until_ready(client, "gallery_deleted", NOTICED_WITHIN_S)
        assert (ready.status_code, ready.json()["database"]) == (503, "deleted")
        assert create_record(client, fake_photo(10), "John").json()["code"] == "gallery_deleted"
        time.sleep(REOPEN_AFTER_S)
        assert client.get("/records").json()["code"] == "gallery_deleted"
        assert not path.exists()  # no empty gallery takes its place
        os.rename(backup, path)
        until_ready(client, None)
        for _ in range(4 * workers):  # each new connection may reach another worker
            with httpx.Client(base_url=client.base_url, timeout=60) as other:
                until_ready(other, None)
                assert other.get("/records").json()["total_count"] == 1
                assert other.post("/match_face", files={"image": fake_photo(5)}).json() == {"status": "access_denied"}
                found = other.post("/records/match", files={"image": fake_photo(1)}).json()
                assert found["best_match"]["name"] == "Jane"
        assert create_record(client, fake_photo(10), "John").status_code == 200
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM faces").fetchone() == (2,)


def test_a_process_that_has_only_seen_the_file_makes_no_empty_one_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
        assert "database" not in client.get("/ready").json()  # no gallery yet
        Gallery(f"sqlite:///{path}").close()  # another process makes one
        until(lambda: bool(have_open(path)))  # nobody asks for it
        path.unlink()
        assert client.get("/records").json()["code"] == "gallery_deleted"
        assert not path.exists()
