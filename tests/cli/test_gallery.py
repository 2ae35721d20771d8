"""face128 gallery: what a person at a terminal, a program and a spreadsheet get; and erasing, after a question."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from forked_command import forked
from people import photo_descriptor
from pseudo_terminal import CTRL_C, pseudo_terminal

MEMBERS = 1200  # more than a page of the gallery


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of three people: one with two photos, one whose name is a formula, one without a name."""
    folder = tmp_path_factory.mktemp("club")
    obama, obama_too, biden, hopper = (
        photo_descriptor(name).tolist()
        for name in ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg", "hopper-1984.jpg")
    )
    members = [
        {"regNo": 1029, "name": "Zoë T", "descriptors": [obama, obama_too]},
        {"regNo": "A-7", "name": '=HYPERLINK("http://evil.example")', "descriptor": biden},
        {"regNo": "+44 7", "name": None, "descriptor": hopper},
    ]
    (folder / "members.json").write_text(json.dumps(members))
    run = forked(folder, "gallery", "import", "members.json", FACE128_DATA=str(folder / "data"))
    assert run.returncode == 0, run.stderr
    return folder


def gallery(folder: Path, *words: str, data: str = "data") -> str:
    run = forked(folder, "gallery", *words, FACE128_DATA=str(folder / data))
    assert run.returncode == 0, run.stderr
    return run.stdout


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_a_spreadsheet_gets_a_row_for_each_photo_and_calculates_nothing(club: Path) -> None:
    text = gallery(club, "list", "--csv")
    assert text.startswith("\ufeffregNo,name,id,model,created_at,quality,reasons,adjusted,metadata")
    header, *photos = rows(text)
    lines = [json.loads(line) for line in gallery(club, "list").splitlines()]
    assert [row[:2] for row in photos] == [
        ["1029", "Zoë T"], ["1029", "Zoë T"], ["A-7", '\'=HYPERLINK("http://evil.example")'], ["'+44 7", ""],
    ]  # fmt: skip
    assert [(row[2], row[3]) for row in photos] == [(line["id"], line["model"]) for line in lines]
    assert all(len(row) == len(header) for row in photos)


def test_a_program_gets_json_also_at_a_terminal(club: Path) -> None:
    piped = gallery(club, "list")
    assert gallery(club, "list", "--json") == piped
    with pseudo_terminal(club, "gallery", "list", "--json", columns=120, FACE128_DATA=str(club / "data")) as terminal:
        assert terminal.end() == 0
    assert "".join(terminal.text.split()) == "".join(piped.split())
    run = forked(club, "gallery", "list", "--json", "--csv", FACE128_DATA=str(club / "data"))
    assert (run.returncode, run.stdout) == (2, "")
    assert "--csv and --json" in run.stderr


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_person_sees_a_table(club: Path, columns: int) -> None:
    data = str(club / "data")
    with pseudo_terminal(club, "gallery", "list", columns=columns, FACE128_DATA=data) as terminal:
        assert terminal.end() == 0, terminal.text
    assert max(map(len, terminal.lines)) <= columns
    assert terminal.lines[0].split() == ["number", "name", "enrolled", "quality"]
    assert terminal.lines[2].split()[:3] == ["1029", "Zoë", "T"]
    assert "4 photos. For a spreadsheet: face128 gallery list --csv" in " ".join(terminal.lines)
    with pseudo_terminal(club, "gallery", "stats", columns=columns, FACE128_DATA=data, NO_COLOR="1") as terminal:
        assert terminal.end() == 0, terminal.text
    assert terminal.lines[0] == "3 people, 4 photos"
    assert json.loads(gallery(club, "stats"))["people"] == 3


def test_an_empty_gallery_is_no_error(tmp_path: Path) -> None:
    for words in (["list"], ["stats"]):
        with pseudo_terminal(tmp_path, "gallery", *words, FACE128_DATA=str(tmp_path / "new")) as terminal:
            assert terminal.end() == 0, terminal.text
        assert "0 photos" in terminal.text
    assert rows(gallery(tmp_path, "list", "--csv", data="new"))[0][0] == "regNo"


def test_every_page_of_a_large_gallery_is_listed(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(0, 0.2, (MEMBERS, 128)).astype(np.float32)
    members = [{"regNo": i, "name": f"Member {i}", "descriptor": v.tolist()} for i, v in enumerate(vectors)]
    (tmp_path / "members.json").write_text(json.dumps(members))
    gallery(tmp_path, "import", "members.json")
    assert [row[0] for row in rows(gallery(tmp_path, "list", "--csv"))[1:]] == [str(i) for i in range(MEMBERS)]
    assert len(gallery(tmp_path, "list").splitlines()) == MEMBERS


class TestErasing:
    @pytest.fixture
    def data(self, club: Path, tmp_path: Path) -> dict[str, str]:
        settings = {"FACE128_DATA": str(tmp_path / "data")}
        assert forked(club, "gallery", "import", "members.json", **settings).returncode == 0
        return settings

    def left(self, club: Path, data: dict[str, str]) -> int:
        return int(json.loads(forked(club, "gallery", "stats", **data).stdout)["faces"])

    @pytest.mark.parametrize("columns", [60, 80, 120])
    def test_it_says_who_and_asks(self, club: Path, data: dict[str, str], columns: int) -> None:
        with pseudo_terminal(club, "gallery", "erase", "1029", columns=columns, **data) as terminal:
            question = " ".join(terminal.wait_for("[y/N]").splitlines())
            assert question.startswith("Erase 1029, Zoë T, with 2 photos, enrolled since 20")
            assert self.left(club, data) == 4
            terminal.type("y\n")
            assert terminal.end() == 0, terminal.text
        assert "Erased: 1029, Zoë T, with 2 photos" in terminal.text
        assert self.left(club, data) == 2

    @pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("what\nno\n", 1), (CTRL_C, 130)])
    def test_any_other_answer_erases_nothing(self, club: Path, data: dict[str, str], answer: str, status: int) -> None:
        with pseudo_terminal(club, "gallery", "erase", "1029", **data) as terminal:
            terminal.wait_for("[y/N]")
            terminal.type(answer)
            assert terminal.end() == status, terminal.text
        assert ("Nothing was erased." in terminal.text) == (status == 1)
        assert self.left(club, data) == 4

    def test_without_a_terminal_it_needs_yes(self, club: Path, data: dict[str, str]) -> None:
        run = forked(club, "gallery", "erase", "1029", **data)
        assert (run.returncode, run.stdout) == (2, "")
        assert "1029, Zoë T, with 2 photos" in run.stderr
        assert "--yes" in run.stderr
        assert self.left(club, data) == 4
        run = forked(club, "gallery", "erase", "1029", "--yes", **data)
        assert (run.returncode, run.stdout) == (0, "Erased: 1029, Zoë T, with 2 photos\n")
        assert self.left(club, data) == 2

    def test_a_name_is_answered_with_its_number(self, club: Path, data: dict[str, str]) -> None:
        run = forked(club, "gallery", "erase", "Zoë T", "--yes", **data)
        assert run.returncode == 2
        assert "Nobody is enrolled under Zoë T. It is the name of 1029: give the number." in run.stderr
        run = forked(club, "gallery", "erase", "4711", "--yes", **data)
        assert run.returncode == 2
        assert "Nobody is enrolled under 4711." in run.stderr
        assert self.left(club, data) == 4

    def test_records_of_the_same_person_that_stay_are_named(self, club: Path, data: dict[str, str]) -> None:
        record = "0b3c5d0e-8a30-4f5c-9c58-1d7a2f3f6a11"
        descriptor = photo_descriptor("obama-2012.jpg").tolist()
        face = {"id": record, "metadata": {}, "created_at": "2026-01-02T03:04:05"}
        member = {"regNo": record, "name": "Zoë T", "descriptors": [descriptor], "faces": [face]}
        (club / "record.json").write_text(json.dumps([member]))
        run = forked(club, "gallery", "import", "record.json", **data)
        assert run.returncode == 0, run.stderr
        run = forked(club, "gallery", "erase", "1029", "--yes", **data)
        assert run.returncode == 0
        assert f"1 record of this name is still enrolled, to be erased by id: {record}" in run.stderr
        run = forked(club, "gallery", "erase", record, "--yes", **data)
        assert run.stdout == "Erased: Zoë T, with 1 photo\n"
        assert run.stderr == ""


def test_errors_of_the_gallery_name_its_file_or_its_setting(tmp_path: Path) -> None:
    (tmp_path / "gallery.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 100)
    (tmp_path / "gallery.sqlite").chmod(0o600)
    run = forked(tmp_path, "gallery", "list", FACE128_DATA=str(tmp_path))
    assert run.returncode == 2
    assert run.stderr.startswith(f"face128: {tmp_path / 'gallery.sqlite'}: ")
    run = forked(tmp_path, "gallery", "list", FACE128_DATABASE_URL=f"sqlite:///{tmp_path / 'gallery.sqlite'}")
    assert run.returncode == 2
    assert run.stderr.startswith("face128: FACE128_DATABASE_URL: ")
