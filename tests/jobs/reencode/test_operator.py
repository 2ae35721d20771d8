"""face128 reencode in a terminal, as somebody uses it who runs a club: wrong folders, Ctrl-C, what to do next."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import time
from pathlib import Path

import dlib_truth
import pytest
from forked_command import forked
from PIL import Image
from pseudo_terminal import CTRL_C, PseudoTerminal, pseudo_terminal
from reencoding import crops, journal
from serving import photo, serving

FAKE = ("--out", "enrolled.json", "--engine", "fake")


def end(terminal: PseudoTerminal) -> tuple[int, str]:
    status = terminal.end()
    return status, " ".join(terminal.text.split())


@pytest.fixture(scope="module")
def made_club(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of ten members, and its photos."""
    folder = tmp_path_factory.mktemp("club")
    crops(folder / "photos", 10)
    run = forked(folder, "reencode", "photos", *FAKE)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture
def club(made_club: Path, tmp_path: Path) -> Path:
    """A copy, which a test may change."""
    shutil.copytree(made_club, tmp_path, dirs_exist_ok=True)
    return tmp_path


def names(club: Path, file: str = "enrolled.json") -> list[int]:
    members = json.loads((club / file).read_text(encoding="utf-8"))["enrolled"]
    return [member["regNo"] for member in members if member["descriptor"]]


def test_a_wrong_folder_does_not_destroy_the_list_and_force_keeps_the_one_before(club: Path) -> None:
    staff = club / "staff"
    staff.mkdir()
    for number in range(50, 65):
        (staff / f"{number}.jpg").write_bytes(
            (club / "photos" / f"{number % 10}_Member {number % 10}.jpg").read_bytes()
        )
    before = (club / "enrolled.json").read_bytes()
    with pseudo_terminal(club, "reencode", "staff", *FAKE, columns=60) as terminal:
        status, text = end(terminal)
    assert status == 2
    assert "Of the 10 members in enrolled.json, staff would leave 0" in text
    assert "--force" in text
    assert (club / "enrolled.json").read_bytes() == before
    assert len(journal(club / "enrolled.json")) == 10, "it was refused after the work"
    assert forked(club, "reencode", "staff", *FAKE, "--force").returncode == 0
    assert names(club) == list(range(50, 65))
    assert (club / "enrolled.json.bak").read_bytes() == before
    assert forked(club, "reencode", "staff", *FAKE).returncode == 0
    assert (club / "enrolled.json.bak").read_bytes() == before, "a run that changes nothing replaced the list before"


def test_photos_that_all_went_bad_do_not_destroy_the_list_either(club: Path) -> None:
    for path in sorted((club / "photos").iterdir())[:4]:
        Image.new("RGB", (50, 50)).save(path)
    with pseudo_terminal(club, "reencode", "photos", *FAKE) as terminal:
        status, text = end(terminal)
    assert (status, len(names(club))) == (2, 10)
    assert "photos would leave 6" in text
    with (club / "enrolled.again.csv").open(encoding="utf-8-sig") as file:
        without = [row["number"] for row in csv.DictReader(file) if row["reason"].startswith("no face")]
    assert sorted(without) == ["0", "1", "2", "3"]


def test_one_member_who_left_is_no_reason_to_refuse(club: Path) -> None:
    (club / "photos" / "3_Member 3.jpg").unlink()
    assert forked(club, "reencode", "photos", *FAKE).returncode == 0
    assert 3 not in names(club)
    assert 3 in names(club, "enrolled.json.bak")


def test_a_list_is_not_begun_with_nobody_in_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "photos" / "1.png")
    with pseudo_terminal(tmp_path, "reencode", "photos", *FAKE) as terminal:
        status, text = end(terminal)
    assert status == 2
    assert "Nobody was found in 1 photo of photos: enrolled.failed.csv says why" in text
    assert not (tmp_path / "enrolled.json").exists()
    assert forked(tmp_path, "reencode", "photos", *FAKE, "--force").returncode == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("photos", "--out photos is a folder. Name a file in it: --out photos/enrolled.json"),
        ("/sys/enrolled.json", "/sys/enrolled.json cannot be written"),
        ("nowhere/enrolled.json", "--out nowhere/enrolled.json cannot be written: there is no folder nowhere"),
        ("taken.json", "taken.failed.csv cannot be written: It is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path, out: str, sentence: str) -> None:
    crops(tmp_path / "photos", 1)
    (tmp_path / "taken.failed.csv").mkdir()
    with pseudo_terminal(tmp_path, "reencode", "photos", "--out", out, "--engine", "fake", columns=60) as terminal:
        status, text = end(terminal)
    assert status == 2
    assert sentence in text
    assert not list(tmp_path.rglob("*.journal.jsonl"))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_only_photos_count_and_the_numbers_add_up(club: Path, columns: int) -> None:
    photos = club / "photos"
    (photos / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (photos / "1029_members.xlsx").write_bytes(b"PK\x03\x04 a spreadsheet")
    (photos / "notes 7.txt").write_text("7")
    (photos / "12_No suffix").write_bytes((photos / "0_Member 0.jpg").read_bytes())
    (photos / "13_Named like a text.txt").write_bytes((photos / "1_Member 1.jpg").read_bytes())
    (photos / "holiday.jpg").write_bytes((photos / "0_Member 0.jpg").read_bytes())
    (photos / "14_Damaged.jpg").write_bytes(b"what was once a photo")
    (photos / "15_Empty.jpg").write_bytes(b"")
    with pseudo_terminal(club, "reencode", "photos", *FAKE, columns=columns) as terminal:
        status, text = end(terminal)
    assert status == 1
    assert "15 photos: 2 encoded now, 2 failed, 10 from before, 1 misnamed" in text
    assert "12 of 14 members have a descriptor" in text
    assert "3 other files are no photos and were left out: 1029_members.xlsx, Thumbs.db, notes 7.txt" in text
    assert "1 misnamed: holiday.jpg" in text
    assert all(len(line) <= columns for line in terminal.lines)
    assert "Written enrolled.json: 12 members with descriptors" in text
    assert text.endswith("face128 audit enrolled.json")


def test_who_must_be_photographed_again_is_listed_with_the_reason_and_what_to_do(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1_Grace Hopper.jpg").write_bytes(photo("hopper-1984.jpg"))
    Image.new("RGB", (300, 300), "white").save(photos / "2_Nobody.png")
    three = Image.new("RGB", (1200, 500))
    for place, name in enumerate(dlib_truth.ONE_FACE_PHOTOS[2:5]):
        three.paste(_resized(name), (400 * place, 0))
    three.save(photos / "3_Three.jpg")
    dark = Image.open(io.BytesIO(photo("obama-2010.jpg"))).convert("RGB")
    dark.point(lambda value: value // 4).save(photos / "4_=Dark.jpg", quality=95)
    with pseudo_terminal(tmp_path, "reencode", "photos", "--out", "enrolled.json") as terminal:
        status, text = end(terminal)
    assert status == 1
    assert "2 members cannot be recognised" in text
    with (tmp_path / "enrolled.again.csv").open(encoding="utf-8-sig", newline="") as file:
        heading, *rows = csv.reader(file)
    assert heading == ["number", "name", "reason", "what to do"]
    assert [row[:3] for row in rows[:2]] == [
        ["2", "Nobody", "no face was found (2_Nobody.png)"],
        ["3", "Three", "several faces (3_Three.jpg)"],
    ]
    assert rows[2][:2] == ["4", "'=Dark"]
    assert rows[2][2] == "poor photo: too dark (4_=Dark.jpg)"
    assert all(row[3] for row in rows)
    with (tmp_path / "enrolled.failed.csv").open(encoding="utf-8-sig", newline="") as file:
        errors = {row["code"]: row["error"] for row in csv.DictReader(file)}
    assert errors["multiple_faces"] == "Multiple faces detected: 3."


def _resized(name: str) -> Image.Image:
    return Image.open(io.BytesIO(photo(name))).convert("RGB").resize((400, 500))


def test_open_shows_who_must_be_photographed_again(club: Path) -> None:
    """With a program of the desktop's name on the PATH, as a desktop has one."""
    opener = club / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text('#!/bin/sh\necho "$1" > opened.txt\n')
    opener.chmod(0o755)
    path = f"{opener.parent}:{os.environ['PATH']}"
    Image.new("RGB", (50, 50)).save(club / "photos" / "20_Nobody.png")
    assert forked(club, "reencode", "photos", *FAKE, "--open", PATH=path).returncode == 1
    deadline = time.monotonic() + 60
    while not (club / "opened.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (club / "opened.txt").read_text().strip() == "enrolled.again.csv"
    run = forked(club, "reencode", "photos", *FAKE, "--open", PATH="/nowhere")
    assert run.returncode == 1
    assert "No program could be opened here: open enrolled.again.csv yourself." in run.stderr


def test_ctrl_c_while_members_are_posted_keeps_who_is_enrolled(club: Path) -> None:
    """The service answers slowly, since another program holds its database."""
    people = club / "people"
    people.mkdir()
    for number, name in enumerate(name for name in dlib_truth.ONE_FACE_PHOTOS if name != "obama-2009.jpg"):
        (people / f"{number}_{name}").write_bytes(photo(name))
    command = ("reencode", "people", "--out", "people.json", "--engine", "fake", "--post")
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(club / "data")) as client:
        member = {"files": {"file": photo("obama-2009.jpg")}, "data": {"name": "F"}}
        assert client.post("/enroll_faces/first", **member).is_success
        holder = sqlite3.connect(club / "data" / "gallery.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pseudo_terminal(club, *command, str(client.base_url)) as terminal:
            terminal.wait_for("Enrolling")
            terminal.type(CTRL_C)
            status, text = end(terminal)
        holder.execute("ROLLBACK")
        assert status == 130
        assert "Stopping..." in text
        assert "Traceback" not in text
        assert "Run the same command again" in text
        run = forked(club, *command, str(client.base_url))
        assert run.returncode == 0, run.stderr
        assert "4 members are enrolled in the service" in run.stderr
        assert client.get("/records").json()["total_count"] == 5
        (people / "9_Again.jpg").write_bytes(photo("obama-2009.jpg"))
        run = forked(club, *command, str(client.base_url))
        assert run.returncode == 1
        assert "4 members are enrolled in the service" in run.stderr
        assert "Refused: duplicate (1)" in run.stderr
        assert "people.failed.csv: 1 photo that failed or was refused, with the reason" in run.stderr


def test_ctrl_c_saves_what_the_bar_has_counted_and_says_how_to_go_on(tmp_path: Path) -> None:
    crops(tmp_path / "photos", 120)
    command = ("reencode", "photos", "--out", "enrolled.json")
    with pseudo_terminal(tmp_path, *command, FACE128_THREADS="2") as terminal:
        shown = terminal.wait_for(lambda text: re.search(r"[1-9][0-9]*/120 .*left", text) is not None)
        counted = int(re.findall(r"([0-9]+)/120", shown)[-1])
        terminal.type(CTRL_C)
        status, text = end(terminal)
        assert terminal.cursor_is_shown
    assert status == 130, text
    assert "Stopping..." in text
    assert "Traceback" not in text
    saved = re.search(r"(\d+) of 120 photos are saved in enrolled.journal.jsonl. Run the same command again", text)
    assert saved is not None, text
    lines = journal(tmp_path / "enrolled.json")
    assert len(lines) == int(saved[1]) >= counted > 0
    assert not (tmp_path / "enrolled.json").exists()
    run = forked(tmp_path, *command, "--dry-run")
    assert f"{120 - len(lines)} to encode, {len(lines)} from before" in run.stderr
    assert "It would take about" in run.stderr
    assert len(journal(tmp_path / "enrolled.json")) == len(lines), "a dry run has written something"


def test_ctrl_c_before_and_after_the_photos_is_no_traceback_either(club: Path) -> None:
    for step in ("Looking for changed photos", "Writing enrolled.json"):
        (club / "enrolled.json").unlink(missing_ok=True)
        slow = (
            "from face128.terminal.progress import Progress\n"
            f"import time, sys; begin = Progress.__enter__\n"
            f"def enter(self):\n    begin(self)\n    if self.step == {step!r}: time.sleep(60)\n    return self\n"
            "Progress.__enter__ = enter\n"
            "from face128.__main__ import main\n"
            f"sys.argv = ['face128', 'reencode', 'photos', *{FAKE!r}]\nmain()"
        )
        with pseudo_terminal(club, code=slow) as terminal:
            terminal.wait_for(step)
            terminal.type(CTRL_C)
            status, text = end(terminal)
        assert status == 130
        assert "Stopping..." in text
        assert "Traceback" not in text
        assert not (club / "enrolled.json").exists()
    assert "All photos are saved in enrolled.journal.jsonl" in text


def test_a_second_run_with_nothing_to_do_needs_no_engine(tmp_path: Path) -> None:
    photos = crops(tmp_path / "photos", 2)
    (photos / "8_Nobody.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (tmp_path / "list.json").write_text(
        json.dumps([{"regNo": n, "photo": f"photos/{n}_Member {n}.jpg"} for n in range(3)])
    )
    for members in ("photos", "list.json"):
        command = ("reencode", members, "--out", f"{members}.out")
        assert forked(tmp_path, *command).returncode == 1
        run = forked(tmp_path, *command, FACE128_WEIGHTS="/nowhere")
        assert "0 encoded now, 1 failed, 2 from before" in run.stderr
        (photos / "9_New.jpg").write_bytes(photo("obama-2012.jpg"))
    assert forked(tmp_path, "reencode", "photos", "--out", "photos.out", FACE128_WEIGHTS="/nowhere").returncode == 2


def test_a_watched_folder_is_done_as_photos_come(club: Path) -> None:
    with pseudo_terminal(club, "reencode", "--watch", "photos", *FAKE) as terminal:
        terminal.wait_for("Watching photos for new photos")
        (club / "photos" / "99_New.jpg").write_bytes(photo("obama-2012.jpg"))
        terminal.wait_for("11 photos: 1 encoded now")
        terminal.wait_for(lambda text: text.count("Watching photos") == 2)
        assert 99 in names(club)
        terminal.type(CTRL_C)
        status, text = end(terminal)
    assert status == 130
    assert "enrolled.json is up to date" in text


def test_a_table_is_read_as_spreadsheets_in_other_countries_write_it(club: Path) -> None:
    text = "sep=;\r\nMitglied;Name;Foto\r\n1029,0;Zoë;photos/1_Member 1.jpg\r\n0042;Ann;photos/2_Member 2.jpg\r\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (club / "list.csv").write_bytes(text.encode(encoding))
        options = ("--columns", "regNo=Mitglied,name=Name,photo=Foto", "--engine", "fake", "--out", f"{encoding}.json")
        assert forked(club, "reencode", "list.csv", *options).returncode == 0
        members = json.loads((club / f"{encoding}.json").read_text(encoding="utf-8"))["enrolled"]
        assert [(member["regNo"], member["name"]) for member in members] == [(1029, "Zoë"), ("0042", "Ann")]
    run = forked(club, "reencode", "list.csv", *FAKE)
    assert run.stderr.startswith("face128: list.csv: There is no column for regNo. Name it with --columns"), run.stderr
