"""A file is replaced as a whole and only by a run that succeeds, also on a full disk and by two runs at once."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from face128.errors import BadRequest
from face128.jobs.files import read_file, replacing, write_files


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        print("new", 1 / 0, file=file)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(BadRequest, match="File too large"), replacing(path) as file:
            file.write("new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_of_two_runs_at_once_one_wins_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write("first")
        with replacing(path) as second:
            second.write("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with replacing(tmp_path / "pipe") as file:
        file.write("text")
    reader.join(timeout=60)
    assert read == ["text"]
    assert (tmp_path / "pipe").is_fifo()


def test_files_of_a_report_are_replaced_one_by_one(tmp_path: Path) -> None:
    write_files(tmp_path / "new" / "report", {"a.png": b"\x00\xff", "b.html": b"b"})
    write_files(tmp_path / "new" / "report", {"a.png": b"\xff\n\r"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "report").iterdir()} == {
        "a.png": b"\xff\n\r",
        "b.html": b"b",
    }


def test_a_device_is_not_read_to_its_end() -> None:
    with pytest.raises(BadRequest, match="device"):
        read_file(Path("/dev/zero"))
