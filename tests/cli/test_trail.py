"""face128 trail: verify, show and export, for a person at a terminal and for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from forked_command import forked
from people import enrol
from pseudo_terminal import pseudo_terminal

from face128.caller import caller
from face128.gallery.gallery import Gallery
from face128.gallery.trail.check import check


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A gallery with a trail: two people, of whom the second was erased, by a command without the setting."""
    folder = tmp_path_factory.mktemp("trail")
    by_desk = caller.set("front-desk")
    with closing(Gallery(f"sqlite:///{folder}/gallery.sqlite", trail=True)) as gallery:
        for number in range(2):
            enrol(gallery, f"10{number}", np.full(128, number, np.float32), name="Vicky T")
    caller.reset(by_desk)
    assert forked(folder, "gallery", "erase", "101", "--yes", FACE128_DATA=str(folder)).returncode == 0
    assert forked(folder, "gallery", "list", FACE128_DATA=str(folder)).returncode == 0
    return folder


def test_a_person_sees_the_last_entries(folder: Path) -> None:
    for columns in (60, 120):
        words = "trail", "show", "--last", "3"
        with pseudo_terminal(folder, *words, columns=columns, FACE128_DATA=str(folder)) as terminal:
            assert terminal.end() == 0, terminal.text
        assert max(map(len, terminal.lines)) <= columns
    assert terminal.lines[0].split() == ["time", "(UTC)", "who", "what", "result", "whom", "details"]
    assert [line.split()[3:5] for line in terminal.lines[2:5]] == [["enrol", "ok"], ["erase", "ok"], ["list", "ok"]]
    assert "cli:" in terminal.lines[3]
    assert "Vicky" not in terminal.text


def test_a_program_asks_about_one_person(folder: Path) -> None:
    run = forked(folder, "trail", "show", "--person", "101", FACE128_DATA=str(folder))
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["action"] for line in lines] == ["enrol", "erase", "list"]  # though nobody of this number is left
    assert lines[1]["actor"].startswith("cli:")
    assert (lines[1]["details"], lines[1]["result"]) == ({"faces": 1}, "ok")
    assert "hash" not in lines[1]
    run = forked(folder, "trail", "show", "--person", "101", "--last", "1", FACE128_DATA=str(folder))
    assert [json.loads(line)["action"] for line in run.stdout.splitlines()] == ["list"]
    with pseudo_terminal(folder, "trail", "show", "--person", "102", FACE128_DATA=str(folder)) as terminal:
        assert terminal.end() == 0
    assert "everybody" in terminal.text


def test_verify_prints_a_head_that_it_takes_back(folder: Path) -> None:
    run = forked(folder, "trail", "verify", FACE128_DATA=str(folder))
    assert run.returncode == 0, run.stderr
    assert "Nothing was changed or removed." in run.stdout
    head = run.stdout.split()[-1]
    assert forked(folder, "trail", "verify", "--head", head, FACE128_DATA=str(folder)).returncode == 0
    seq, _, digest = head.partition(":")
    wrong = forked(folder, "trail", "verify", "--head", f"{int(seq) - 1}:{digest}", FACE128_DATA=str(folder))
    assert (wrong.returncode, "rewritten" in wrong.stdout) == (1, True)
    for text in ("", "5", "5:abc", ":" + digest, "0:" + digest):
        run = forked(folder, "trail", "verify", "--head", text, FACE128_DATA=str(folder))
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("face128: --head: A head is a number")


def test_verify_names_what_was_changed(folder: Path) -> None:
    copy = folder / "copy"
    copy.mkdir()
    with sa.create_engine(f"sqlite:///{folder}/gallery.sqlite").connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{copy}/gallery.sqlite'")
    with sa.create_engine(f"sqlite:///{copy}/gallery.sqlite").begin() as connection:
        connection.exec_driver_sql("UPDATE trail SET result = 'no' WHERE seq = 2")
        connection.exec_driver_sql("DELETE FROM trail WHERE seq = 3")
    run = forked(folder, "trail", "verify", FACE128_DATA=str(copy))
    assert run.returncode == 1
    assert run.stdout.splitlines()[:2] == [
        "Entry 2 was changed, or is not in its place.",
        "Entry 3 is missing.",
    ]
    assert "This is not the trail that face128 has written." in run.stdout


def test_an_export_has_every_entry(folder: Path) -> None:
    run = forked(folder, "trail", "export", "trail.jsonl", FACE128_DATA=str(folder))
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in (folder / "trail.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert run.stdout == f"{len(lines)} entries, the head: {len(lines)}:{lines[-1]['hash']}\n"
    assert (folder / "trail.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_gallery_without_a_trail_says_how_to_begin_one(tmp_path: Path) -> None:
    for words in (["show"], ["verify"]):
        with pseudo_terminal(tmp_path, "trail", *words, FACE128_DATA=str(tmp_path)) as terminal:
            assert terminal.end() == 0
        assert "The trail is empty. FACE128_TRAIL=1 switches it on." in terminal.text


def test_the_setting_switches_it_and_the_trail_says_so(tmp_path: Path) -> None:
    for value in ("1", "1", "0", "0", "1"):
        run = forked(tmp_path, "gallery", "stats", FACE128_DATA=str(tmp_path), FACE128_TRAIL=value)
        assert run.returncode == 0, run.stderr
    shown = forked(tmp_path, "trail", "show", FACE128_DATA=str(tmp_path)).stdout.splitlines()
    assert [(each["action"], each["result"]) for each in map(json.loads, shown)] == [
        ("trail", "on"),
        ("trail", "off"),
        ("trail", "on"),
    ]
    with closing(Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery, gallery.database.reading() as connection:
        assert check(connection).faults == []
