"""Who may read the SQLite file; a file, a folder or a disk that cannot be written."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from command_line import face128
from disks import fill, immutable, small_disk
from fake_photos import create_record, fake_photo
from liveness import until
from people import enrol, photo_descriptor
from serving import serving, started

from face128.errors import GalleryReadOnly
from face128.gallery.gallery import Gallery


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_a_new_file_is_its_owners_alone_whatever_the_folder_and_the_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with umask(0):
        gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
        enrol(gallery, "44", photo_descriptor("obama-2012.jpg"))
        found = modes(tmp_path)
        gallery.close()
    assert set(found) >= {"gallery.sqlite", "gallery.sqlite-wal", "gallery.sqlite-shm"}
    assert set(found.values()) == {0o600}


def test_a_file_that_others_may_read_is_tightened_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gallery.sqlite"
    one = Gallery(f"sqlite:///{path}")  # its log stays while it is open
    for name in modes(tmp_path):
        (tmp_path / name).chmod(0o664)
    with caplog.at_level(logging.WARNING):
        other = Gallery(f"sqlite:///{path}")
    assert set(modes(tmp_path).values()) == {0o600}
    assert f"{path} could be used by other users (mode 664)" in caplog.text
    for gallery in (one, other):
        gallery.close()


def test_an_export_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    gallery = Gallery(url)
    enrol(gallery, "44", photo_descriptor("obama-2012.jpg"))
    gallery.close()
    with umask(0):
        assert face128("gallery", "export", tmp_path / "all.json", FACE128_DATABASE_URL=url).returncode == 0
    assert modes(tmp_path)["all.json"] == 0o600


def answered(client: httpx.Client, code: str | None) -> bool:
    answer: str | None = client.get("/ready").json().get("code")
    return answer == code


def test_a_full_disk_is_named_and_nothing_is_enrolled_until_there_is_room(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path, 8),
        serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path), FACE128_MAX_CONNECTIONS="8") as client,
    ):
        stored = create_record(client, fake_photo(1), "Jane").json()["record"]["id"]
        fill(tmp_path / "ballast")
        until(lambda: answered(client, "gallery_full"))
        answers = [create_record(client, fake_photo(number), f"Person {number}") for number in range(100, 110)]
        # The log's file may have room for a few. Whoever is acknowledged is stored.
        accepted = [answer.status_code for answer in answers].count(200)
        refused = [(answer.status_code, answer.json()["code"]) for answer in answers[accepted:]]
        assert accepted <= 4
        assert set(refused) == {(503, "gallery_full")}
        assert client.get("/records").json()["total_count"] == 1 + accepted
        found = client.post("/records/match", files={"image": fake_photo(1)}).json()
        assert found["best_match"]["id"] == stored
        (tmp_path / "ballast").unlink()
        until(lambda: answered(client, None))
        assert create_record(client, fake_photo(2), "John").status_code == 200


def test_a_file_that_becomes_read_only_is_named_and_read(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path), FACE128_READY_NEEDS_GALLERY="0") as client:
        create_record(client, fake_photo(1), "Jane")
        with immutable(path):
            until(lambda: client.get("/ready").json()["database"] == "read_only")
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "ready")
            assert "cannot be written" in ready.json()["database_error"]
            refused = create_record(client, fake_photo(2), "John")
            assert (refused.status_code, refused.json()["code"]) == (503, "gallery_read_only")
            assert client.get("/records").json()["total_count"] == 1
        until(lambda: client.get("/ready").json()["database"] == "ready")
        assert create_record(client, fake_photo(2), "John").status_code == 200


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    folder.mkdir()
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATA": str(folder)}
    with immutable(folder):
        with log.open("w+b") as stderr, started(stderr=stderr, **settings) as (_, port):
            line = next(line for line in log.read_text().splitlines() if "cannot be written" in line)
            assert "WARNING" in line
            assert str(folder) in line
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                assert client.get("/ready").json()["database"] == "read_only"
                posted = {"descriptor": [0.0] * 128, "enrolled": []}
                assert client.post("/match", json=posted).json() == {"match": False}
                refused = create_record(client, fake_photo(1))
                assert (refused.status_code, refused.json()["code"]) == (503, "gallery_read_only")
        with pytest.raises(GalleryReadOnly):
            Gallery(f"sqlite:///{folder}/gallery.sqlite")
