"""Reading the members' photos from folders, patterns, CSV, TSV and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forked_command import forked

from face128.errors import BadRequest
from face128.jobs.reencode.member_photos import read_members
from face128.jobs.reencode.member_rows import parse_columns


def folder(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"\xff\xd8\xff photo")
    return root


def read(source: Path, pattern: str | None = None) -> list[tuple[object, str | None, str]]:
    return [(item.reg_no, item.name, item.photo) for item in read_members(source, pattern).photos]


def test_the_usual_names_of_files_and_folders_are_understood(tmp_path: Path) -> None:
    files = ("1029_Vicky T.jpg", "1030/b.png", "1030/deep/a.jpg", "A-7_Zoë/x.jpg", "0042.jpg", "9_Ann_Lee.heic")
    assert read(folder(tmp_path, *files)) == [
        ("0042", None, "0042.jpg"),
        (1029, "Vicky T", "1029_Vicky T.jpg"),
        (1030, None, "1030/b.png"),
        (1030, None, "1030/deep/a.jpg"),
        (9, "Ann_Lee", "9_Ann_Lee.heic"),
        ("A-7", "Zoë", "A-7_Zoë/x.jpg"),
    ]


def test_a_name_that_says_nothing_is_reported_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    listing = read_members(folder(tmp_path, "holiday.jpg", "1029 (2).jpg", ".DS_Store", ".trash/1_A.jpg", "5_B.jpg"))
    assert [entry.photo for entry in listing.rejected] == ["1029 (2).jpg", "holiday.jpg"]
    assert [item.reg_no for item in listing.photos] == [5]


def test_an_accent_taken_apart_by_the_file_system_is_put_together(tmp_path: Path) -> None:
    assert read(folder(tmp_path, "1_Zoe\u0308.jpg"))[0][1] == "Zo\u00eb"


def test_a_pattern_says_how_files_are_named(tmp_path: Path) -> None:
    folder(tmp_path, "Vicky T/1029-1.jpg", "Vicky T/1029-2.jpg", "stray.jpg")
    listing = read_members(tmp_path, "{name}/{regNo}-*")
    assert [(item.reg_no, item.name) for item in listing.photos] == [(1029, "Vicky T")] * 2
    assert [entry.photo for entry in listing.rejected] == ["stray.jpg"]


def test_where_there_are_no_numbers_the_name_is_the_number(tmp_path: Path) -> None:
    folder(tmp_path, "Ann Lee/1.jpg", "Ann Lee/2.jpg", "Zoe\u0308/1.jpg", "0042/1.jpg", "7/1.jpg", "stray.jpg")
    listing = read_members(tmp_path, "{name}/*")
    assert [(item.reg_no, item.name) for item in listing.photos] == [
        ("0042", "0042"), (7, "7"), ("Ann Lee", "Ann Lee"), ("Ann Lee", "Ann Lee"), ("Zo\u00eb", "Zo\u00eb")
    ]  # fmt: skip
    assert [entry.photo for entry in listing.rejected] == ["stray.jpg"]
    assert read(folder(tmp_path / "flat", "Ann Lee.jpg"), "{name}") == [("Ann Lee", "Ann Lee", "Ann Lee.jpg")]


def test_a_folder_of_names_without_a_pattern_is_told_the_pattern(tmp_path: Path) -> None:
    folder(tmp_path / "people", "Ann Lee/1.jpg")
    run = forked(tmp_path, "reencode", "people", "--out", "out.json", "--engine", "fake")
    assert run.returncode == 2
    assert "--pattern '{name}/*'" in run.stderr


@pytest.mark.parametrize("pattern", ["{regNo}{regNo}", "{name}{name}", "{name}{regNo}{name}", "*"])
def test_a_pattern_without_one_number_or_one_name_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(BadRequest):
        read_members(tmp_path, pattern)


@pytest.mark.parametrize(
    "text",
    [
        "regNo,name,photo\n7,Ann,a/1.jpg\n007,,2.jpg\n",
        "regNo;name;photo\r\n7;Ann;a/1.jpg\r\n007;;2.jpg",
        "reg_no\tFull name\tphoto_path\tid\n7\tAnn\ta/1.jpg\t1\n007\t\t2.jpg\t2\n",
    ],
)
def test_a_csv_is_read_as_any_spreadsheet_writes_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    listing = read_members(tmp_path / "list.csv")
    assert [(i.reg_no, i.name, i.photo) for i in listing.photos] == [(7, "Ann", "a/1.jpg"), ("007", None, "2.jpg")]
    assert listing.photos[0].source == str(tmp_path / "a" / "1.jpg")


def test_a_json_list_keeps_its_types_and_may_hold_several_photos_and_urls(tmp_path: Path) -> None:
    members = [{"regNo": "7", "name": "Ann", "photos": ["1.jpg", "s3://bucket/2.jpg"]}, {"regNo": 7, "photo": "3.jpg"}]
    (tmp_path / "list.json").write_text(json.dumps(members))
    listing = read_members(tmp_path / "list.json")
    assert [item.reg_no for item in listing.photos] == ["7", "7", 7]
    assert listing.photos[1].source == "s3://bucket/2.jpg"


def test_other_columns_are_named_and_their_folder_too(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("nr\twho\tscan\tphoto\n7\tAnn\t1.jpg\tnone\n")
    columns = {"regNo": "nr", "name": "who", "photo": "scan"}
    (photo,) = read_members(tmp_path / "list.tsv", columns=columns, folder=Path("/photos")).photos
    assert (photo.reg_no, photo.name, photo.source) == (7, "Ann", "/photos/1.jpg")
    for wrong in ({"regNo": "nr", "photo": "missing"}, {"regNo": "nr", "name": "missing"}, {}):
        with pytest.raises(BadRequest):
            read_members(tmp_path / "list.tsv", columns=wrong)


def test_a_cell_may_have_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('regNo,name,photo\n7,"Ann\nLee\u2028",1.jpg\n8,Bob,2.jpg\n', newline="")
    assert read(tmp_path / "list.csv") == [(7, "Ann\nLee", "1.jpg"), (8, "Bob", "2.jpg")]


@pytest.mark.parametrize("columns", ["regNo", "regNo=", "number=nr", "regNo=a,,"])
def test_an_unknown_field_for_a_column_is_refused(columns: str) -> None:
    with pytest.raises(BadRequest):
        parse_columns(columns)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"regNo": 1}, "not_found"),
        ({"regNo": 1, "photo": " "}, "not_found"),
        ({"regNo": 1, "photos": []}, "not_found"),
        ({"regNo": 1, "photo": 2}, "invalid_request"),
        ({"regNo": 1, "photo": "\ud800"}, "invalid_request"),
        ({"regNo": True, "photo": "a"}, "invalid_request"),
        ({"regNo": " ", "photo": "a"}, "invalid_request"),
        ({"photo": "a"}, "invalid_request"),
        ({"regNo": "\ud800", "photo": "a"}, "invalid_request"),
        ({"regNo": 1, "name": "\ud800", "photo": "a"}, "invalid_request"),
        (7, "invalid_request"),
    ],
)
def test_a_row_that_is_wrong_is_rejected_alone(tmp_path: Path, row: object, code: str) -> None:
    (tmp_path / "list.json").write_text(json.dumps([row, {"regNo": 2, "photo": "b.jpg"}]))
    listing = read_members(tmp_path / "list.json")
    assert [item.reg_no for item in listing.photos] == [2]
    assert [entry.code for entry in listing.rejected] == [code]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.json", '{"regNo": 1}'),
        ("l.json", "no json"),
        ("l.csv", "number,file\n1,a.jpg\n"),
        ("l.csv", "regNo,name\n1,Ann\n"),
        ("l.csv", ""),
        ("l.csv", "regNo,photo\n1," + 200_000 * "a"),
    ],
)
def test_a_list_that_is_wrong_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadRequest):
        read_members(tmp_path / name)
