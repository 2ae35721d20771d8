"""reencode --engine dlib,retail: one look for both networks, and an older journal only gets what it lacks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from forked_command import forked
from PIL import Image
from reencoding import journal
from retail_models import tiny_model
from serving import photo, serving

from face128.domain.descriptors import from_base64
from face128.encoding.encode import encode
from face128.engines.loader import load_engine
from face128.jobs.execution.backend import Loss
from face128.jobs.execution.photo_task import PhotoTask
from face128.jobs.reencode.reencode import _lost
from face128.photos.photo import Limits
from face128.settings import Settings

PHOTOS = {
    "1029_Barack Obama/a.jpg": "obama-2009.jpg",
    "1029_Barack Obama/b.jpg": "obama-2010.jpg",
    "1030_Joe Biden.jpg": "biden-2010.jpg",
}
BOTH = ("--engine", "dlib,retail")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("retail"))


@pytest.fixture(scope="module")
def expected(model: Path) -> dict[str, dict[str, list[float]]]:
    """Of each photo, by the model's name: what each engine gives alone."""
    engines = [load_engine(name, Settings(retail_model=model)) for name in ("dlib", "retail")]
    return {
        path: {engine.card.name: encode(engine, photo(name), Limits()).descriptor.tolist() for engine in engines}
        for path, name in PHOTOS.items()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, name in PHOTOS.items():
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(photo(name))
    Image.new("RGB", (300, 300), "white").save(tmp_path / "photos" / "1031_Nobody.png")
    return tmp_path


def test_an_older_journal_gets_the_missing_descriptors_and_every_format_has_both(
    folder: Path, model: Path, expected: dict[str, dict[str, list[float]]]
) -> None:
    def reencode(out: str, *options: str) -> str:
        run = forked(folder, "reencode", "photos", "--out", out, *options, FACE128_RETAIL_MODEL=str(model))
        assert run.returncode == 1, run.stderr
        return (folder / out).read_text(encoding="utf-8")

    dlib, retail = next(iter(expected.values()))
    assert (dlib, retail.startswith("retail-")) == ("dlib-resnet-v1", True)
    alone = json.loads(reencode("enrolled.json"))
    assert [set(member) & {"descriptor", "descriptors"} for member in alone["enrolled"]] == [
        {"descriptors"}, {"descriptor"}, {"descriptor"}
    ]  # fmt: skip
    before = journal(folder / "enrolled.json")
    body = json.loads(reencode("enrolled.json", *BOTH))
    added = journal(folder / "enrolled.json")[len(before) :]
    assert {str(line["version"]).split()[0] for line in before} == {dlib}
    assert {str(line["version"]).split()[0] for line in added} == {retail}
    assert {line["photo"] for line in added} == {line["photo"] for line in before}
    a, b, biden = (expected[path] for path in PHOTOS)
    assert body["model"] == dlib
    assert body["pipelines"].keys() == {dlib, retail}
    by_number = {member["regNo"]: member for member in body["enrolled"]}
    assert by_number[1031]["descriptor"] is None
    _assert_near(by_number[1030]["descriptors"], biden)
    assert by_number[1030]["descriptors"][dlib] == alone["enrolled"][1]["descriptor"]
    _assert_near(by_number[1029]["descriptors"], {name: [a[name], b[name]] for name in (dlib, retail)})

    rows = list(csv.DictReader(reencode("enrolled.csv", *BOTH, "--to", "csv").splitlines()))
    assert [(row["regNo"], row["model"]) for row in rows] == 2 * [("1029", dlib), ("1029", retail)] + [
        ("1030", dlib), ("1030", retail)
    ]  # fmt: skip
    lines = [json.loads(line) for line in reencode("enrolled.jsonl", *BOTH, "--to", "jsonl").splitlines()]
    assert [line["descriptors"].keys() for line in lines] == [{dlib, retail}] * 3
    means = json.loads(reencode("means.json", *BOTH, "--template", "mean"))["enrolled"][0]["descriptors"]
    _assert_near(means, {name: np.mean([a[name], b[name]], axis=0).tolist() for name in (dlib, retail)})


def _assert_near(found: dict[str, object], wanted: dict[str, object]) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert np.abs(np.array(found[name]) - np.array(wanted[name])).max() < 1e-5


def test_both_in_one_look_leave_the_same_journal_as_one_after_the_other(folder: Path, model: Path) -> None:
    def lines(out: str, *engines: str) -> list[tuple[object, ...]]:
        for engine in engines:
            command = ("reencode", "photos", "--out", out, "--engine", engine)
            assert forked(folder, *command, FACE128_RETAIL_MODEL=str(model)).returncode == 1
        keys = ("photo", "version", "sha256", "descriptor", "code", "error")
        return sorted(tuple(str(line[key]) for key in keys) for line in journal(folder / out))

    assert len(lines("both.json", "dlib,retail")) == 2 * (len(PHOTOS) + 1)
    assert lines("both.json") == lines("apart.json", "dlib", "retail")


def test_match_takes_the_file_and_decides_by_both(folder: Path, model: Path) -> None:
    forked(folder, "reencode", "photos", "--out", "enrolled.json", *BOTH, FACE128_RETAIL_MODEL=str(model))
    body = json.loads((folder / "enrolled.json").read_text(encoding="utf-8"))
    line = journal(folder / "enrolled.json")[0]
    probe = {
        str(each["version"]).split()[0]: from_base64(str(each["descriptor"])).tolist()
        for each in journal(folder / "enrolled.json")
        if each["photo"] == line["photo"]
    }
    assert len(probe) == 2
    settings = {"FACE128_ENGINES": "dlib,retail", "FACE128_DECISION_MODELS": "dlib+retail"}
    with serving(**settings, FACE128_RETAIL_MODEL=str(model)) as service:
        answer = service.post("/match?explain=true", json=body | {"descriptors": probe}).json()
    assert answer["regNo"] in (1029, 1030)
    assert answer["models"] == list(probe)
    assert answer["distance"] < 1e-6


def test_columns_of_a_table_take_the_descriptors_of_the_engine_that_they_name(folder: Path, model: Path) -> None:
    url = f"sqlite:///{folder / 'members.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE members (reg_no INTEGER, photo TEXT, face TEXT, second TEXT)")
        connection.exec_driver_sql("INSERT INTO members VALUES (1030, 'photos/1030_Joe Biden.jpg', NULL, NULL)")
    select = ("--from-sql", url, "--query", "SELECT reg_no, photo FROM members", "--out", "out.json", *BOTH)
    columns = ("--write-back", "members.face", "--write-back", "retail=members.second")
    run = forked(folder, "reencode", *select, *columns, FACE128_RETAIL_MODEL=str(model))
    assert run.returncode == 0, run.stderr
    with engine.connect() as connection:
        face, second = connection.exec_driver_sql("SELECT face, second FROM members").one()
    assert (len(json.loads(face)), len(json.loads(second))) == (128, 256)
    engine.dispose()
    run = forked(folder, "reencode", *select, "--write-back", "faceapi=members.face", FACE128_RETAIL_MODEL=str(model))
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)


def test_engines_that_do_not_look_at_the_same_faces_are_refused(folder: Path) -> None:
    for engines in ("dlib,faceapi", "fake,dlib", "dlib,dlib", "dlib,"):
        run = forked(folder, "reencode", "photos", "--out", "out.json", "--engine", engines)
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
        assert f"--engine {engines}" in run.stderr


@pytest.mark.parametrize(
    ("done", "failed"),
    [(("sha", None), ["retail"]), ((None, None), ["dlib", "retail"]), (("sha", "sha"), ["dlib", "retail"])],
)
def test_a_photo_that_kills_its_process_keeps_what_one_engine_has_found_before(
    done: tuple[str | None, str | None], failed: list[str]
) -> None:
    results = _lost(PhotoTask("a.jpg", "a.jpg", done), ["dlib", "retail"], Loss.CRASHED)
    assert [result.version for result in results] == failed
