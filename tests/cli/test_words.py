"""What commands say is in the words of the command line, and what is for tests alone is offered to nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dlib_truth import TWO_FACE_PHOTO
from forked_command import forked
from people import photo_descriptor
from pseudo_terminal import pseudo_terminal
from serving import PHOTOS
from typer.main import get_command

from face128.cli.main import app

TOP = get_command(app).commands
COMMANDS = [
    *TOP,
    *(f"{group} {name}" for group, command in TOP.items() for name in getattr(command, "commands", ())),
]


@pytest.mark.parametrize("columns", [60, 120])
def test_help_fits_the_terminal_and_offers_the_fake_engine_to_nobody(tmp_path: Path, columns: int) -> None:
    for line in ("", *COMMANDS):
        with pseudo_terminal(tmp_path, *line.split(), "--help", columns=columns) as terminal:
            assert terminal.end() == 0, terminal.text
        assert b"\x1b" not in terminal.raw
        # What the terminal had to continue on the next line fills a line to the end.
        assert max(map(len, terminal.lines)) < columns, terminal.text
        assert "fake" not in terminal.text


def test_every_command_is_listed_with_a_whole_sentence(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path, "--help", columns=80) as terminal:
        terminal.end()
    listed = terminal.text.partition("Commands:")[2].splitlines()
    assert {line.split()[0] for line in listed if line.strip()} == set(TOP)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed if line.strip()), listed


def test_a_wrong_engine_is_told_the_real_ones(tmp_path: Path) -> None:
    run = forked(tmp_path, "encode", PHOTOS / "obama-2012.jpg", "--engine", "dlip")
    assert run.returncode == 2
    assert "dlip" in run.stderr
    assert all(name in run.stderr for name in ("dlib", "retail", "faceapi", "insightface"))
    assert "fake" not in run.stderr


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("encode", "Missing argument 'PHOTOS'. To see what it takes: face128 encode --help"),
        ("encode a.jpg --face one", "No such option: --face"),
        ("encode a.jpg --faces two", "Invalid value for '--faces': 'two' is not one of 'one', 'largest', 'best'."),
        ("encode a.jpg --num-jitters many", "Invalid value for '--num-jitters'"),
        ("match a.jpg b.json --threshold 0,x", "Invalid value for '--threshold': '0,x' is not a number such as 0.38."),
        ("serve --port 99999", "Invalid value for '--port'"),
        ("serve --host http://face.example", "Invalid value for '--host': It is an address or a name"),
        ("galery list", "No such command 'galery'. Did you mean 'gallery'?"),
        ("gallery erase", "Missing argument 'NUMBER'. To see what it takes: face128 gallery erase --help"),
        ("keys new", "Missing argument 'NAME'."),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    run = forked(tmp_path, *line.split())
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"face128: {sentence}"), run.stderr
    assert run.stderr.count("\n") == 1


def test_a_command_without_arguments_shows_its_help(tmp_path: Path) -> None:
    for line in ("", "gallery", "keys"):
        run = forked(tmp_path, *line.split())
        assert run.returncode == 2
        assert run.stderr.startswith("Usage: face128")
        assert "Commands:" in run.stderr


def test_errors_about_photos_name_options_not_parameters(tmp_path: Path) -> None:
    run = forked(tmp_path, "encode", PHOTOS / TWO_FACE_PHOTO)
    assert run.returncode == 1
    assert "2 faces were found" in run.stderr
    assert "--faces largest or --faces best" in run.stderr
    assert "faces=" not in run.stderr


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("club")
    descriptors = {name: photo_descriptor(name).tolist() for name in ("obama-2012.jpg", "obama-2009.jpg")}
    (folder / "probe.json").write_text(json.dumps(descriptors["obama-2012.jpg"]))
    member = {"regNo": 1029, "name": "Zoë", "descriptor": descriptors["obama-2009.jpg"]}
    (folder / "enrolled.json").write_text(json.dumps([member]))
    (folder / "bad.json").write_text(json.dumps([member | {"descriptor": [1, 2]}]))
    (folder / "bad-probe.json").write_text("[1, 2]")
    header, row = "regNo;name;descriptor", f'1029;Zoë;"{json.dumps(member["descriptor"])}"'
    (folder / "enrolled.csv").write_text(f"\ufeff{header}\r\n{row}\r\n", encoding="utf-8")
    commas = "; ".join(str(number).replace(".", ",") for number in member["descriptor"])
    (folder / "commas.csv").write_text(f'{header}\n1029;Zoë;"{commas}"\n', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("match bad-probe.json enrolled.json", "bad-probe.json: "),
        ("match probe.json bad.json", "bad.json: "),
        ("match probe.json enrolled.json --threshold 7", "--threshold: "),
        ("gallery import bad.json", "bad.json: "),
    ],
)
def test_an_error_names_the_file_or_the_option(club: Path, line: str, place: str) -> None:
    run = forked(club, *line.split(), FACE128_DATA=str(club / "data"))
    assert run.returncode == 2
    assert run.stderr.startswith(f"face128: {place}"), run.stderr


@pytest.mark.parametrize(("threshold", "status"), [("0.38", 0), ("0,38", 0), ("0,1", 1), ("0.1", 1)])
def test_a_decimal_comma_is_understood(club: Path, threshold: str, status: int) -> None:
    run = forked(club, "match", "probe.json", "enrolled.json", "--threshold", threshold)
    assert (run.returncode, run.stderr) == (status, "")


def test_a_table_from_a_spreadsheet_is_a_list_of_members(club: Path) -> None:
    files = ("enrolled.json", "enrolled.csv", "commas.csv")
    answers = {forked(club, "match", "probe.json", file, "--explain").stdout for file in files}
    assert [json.loads(answer)["regNo"] for answer in answers] == [1029]  # the same distance for each
    run = forked(club, "gallery", "import", "enrolled.csv", FACE128_DATA=str(club / "from-csv"))
    assert run.returncode == 0, run.stderr
    line = json.loads(forked(club, "gallery", "list", FACE128_DATA=str(club / "from-csv")).stdout)
    assert (line["regNo"], line["name"]) == (1029, "Zoë")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_an_error_is_wrapped_on_a_terminal(club: Path, columns: int) -> None:
    with pseudo_terminal(club, "match", "probe.json", "bad.json", columns=columns) as terminal:
        assert terminal.end() == 2
    assert max(map(len, terminal.lines)) <= columns
    assert " ".join(terminal.lines) == forked(club, "match", "probe.json", "bad.json").stderr.strip()


def test_a_name_in_an_error_cannot_move_the_cursor(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path, "encode", "\x1b[2Jevil\u202e.jpg") as terminal:
        assert terminal.end() == 1
    assert r"\x1b[2Jevil\u202e.jpg cannot be read" in " ".join(terminal.lines)
    assert b"\x1b[2J" not in terminal.raw


def test_the_version(tmp_path: Path) -> None:
    assert forked(tmp_path, "--version").stdout == forked(tmp_path, "version").stdout


def test_a_key_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple-0123456789"
    with pseudo_terminal(tmp_path, "keys", "hash", "backend") as terminal:
        terminal.wait_for("The key (it is not shown): ".rstrip())
        terminal.type(f"{secret}\n")
        assert terminal.end() == 0, terminal.text
    assert secret not in terminal.text
    assert terminal.lines[-1].startswith("backend:")
