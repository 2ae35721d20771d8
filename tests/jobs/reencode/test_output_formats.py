"""The formats of face128 reencode --out, and where a client has their numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from forked_command import forked
from serving import photo

from face128.domain.descriptors import from_base64
from face128.domain.model_card import DLIB, FACEAPI
from face128.jobs.reencode.output_formats import write_match_body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two members: one with two photos, and one whose photo is empty."""
    (tmp_path / "photos" / "1029_Zoë, T").mkdir(parents=True)
    for name in ("obama-2009.jpg", "obama-2010.jpg"):
        (tmp_path / "photos" / "1029_Zoë, T" / name).write_bytes(photo(name))
    (tmp_path / "photos" / "0042.jpg").write_bytes(b"")
    return tmp_path


def test_each_format_has_the_same_numbers_and_the_photos_are_described_once(folder: Path) -> None:
    def reencode(out: str, *options: str) -> str:
        run = forked(folder, "reencode", "photos", "--out", out, "--engine", "fake", *options)
        assert run.returncode == 1, run.stderr
        assert ("2 encoded now" in run.stderr) == (out == "out.json" and not options)
        return (folder / out).read_text(encoding="utf-8")

    body = json.loads(reencode("out.json"))
    by_reg_no = {member["regNo"]: member for member in body["enrolled"]}
    numbers, model = by_reg_no[1029]["descriptors"], body["model"]
    assert by_reg_no["0042"]["descriptor"] is None
    assert f"descriptors['{model}']" in body["note"]

    rows = list(csv.DictReader(reencode("out.csv", "--to", "csv").splitlines()))
    assert [(row["regNo"], row["name"], row["model"]) for row in rows] == [("1029", "Zoë, T", model)] * 2
    assert [json.loads(row["descriptor"]) for row in rows] == numbers
    lines = [json.loads(line) for line in reencode("out.jsonl", "--to", "jsonl").splitlines()]
    assert lines == [{"regNo": 1029, "name": "Zoë, T", "descriptors": {model: vector}} for vector in numbers]

    rows = list(csv.DictReader(reencode("out.csv", "--to", "csv", "--base64").splitlines()))
    assert [from_base64(row["descriptor"]).tolist() for row in rows] == numbers
    lines = [json.loads(line) for line in reencode("out.jsonl", "--to", "jsonl", "--base64").splitlines()]
    assert [from_base64(line["descriptors"][model]).tolist() for line in lines] == numbers
    members = json.loads(reencode("out.json", "--base64"))["enrolled"]
    assert [from_base64(text).tolist() for text in members[-1]["descriptors"]] == numbers


def test_a_file_of_another_format_is_not_replaced(folder: Path) -> None:
    for name, text in (("a", "a list\n"), ("b", '{"model": "x"}'), ("c", "regNo,name\n"), ("d", "SELECT 1")):
        for to in ("csv", "jsonl"):
            (folder / name).write_text(text)
            run = forked(folder, "reencode", "photos", "--out", name, "--to", to, "--engine", "fake")
            assert (run.returncode, run.stderr.count("\n")) == (2, 1), run
            assert (folder / name).read_text() == text


def test_the_file_for_match_says_where_a_client_has_the_numbers(tmp_path: Path) -> None:
    for card, field in ((DLIB, "descriptors['dlib-resnet-v1']"), (FACEAPI, "in the field descriptor.")):
        with (tmp_path / "body.json").open("w") as file:
            write_match_body(file, [], [card])
        body = json.loads((tmp_path / "body.json").read_text())
        assert field in body["note"]
        assert body["enrolled"] == []
