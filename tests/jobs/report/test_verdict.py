"""The commands as a person sees them: in a terminal of three widths, and what stands in the first lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from forked_command import forked
from pseudo_terminal import pseudo_terminal
from reports import TWINS, member, members_with_defects, people_folder, strangers, write_members
from retail_models import tiny_model
from wcwidth import wcswidth

from face128.domain.model_card import DLIB, RETAIL
from face128.jobs.audit.findings import KINDS
from face128.jobs.calibrate.calibrate import Calibration, measure
from face128.jobs.calibrate.described_photos import DescribedPhotos, pairs_of
from face128.jobs.report.verdict import calibration_verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operator")
    write_members(folder / "bad.json", members_with_defects())
    write_members(folder / "good.json", [member(i, f"Member {i}", v) for i, v in enumerate(strangers(60))])
    return folder


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_an_audit_begins_with_what_to_do_first(folder: Path, columns: int) -> None:
    with pseudo_terminal(folder, "audit", "bad.json", columns=columns) as terminal:
        assert terminal.end() == 1
        lines = terminal.lines
    assert max(map(wcswidth, lines)) <= columns
    text = " ".join(line.strip() for line in lines)
    number, name, other, other_name = TWINS
    pair = f"{number} ({name}) and {other} ({other_name})"
    places = [text.index("look like one person"), text.index(pair)]
    places += [text.index(each, places[1]) for each in ("face128 gallery erase NUMBER", "Estimates")]
    assert places == sorted(places), "the verdict, who, the command, and then the estimates that they spoil"
    assert text.startswith("65 members, 63 descriptors. 2 pairs of numbers look like one person")
    assert "302 (No Photo)" in text
    assert text.count("FPIR is the share") == text.count("alpha is the share") == 1


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_members_without_a_defect_get_a_verdict_on_the_threshold(folder: Path, columns: int) -> None:
    with pseudo_terminal(folder, "audit", "good.json", columns=columns) as terminal:
        assert terminal.end() == 0
        lines = terminal.lines
    assert lines[0] == "60 members, 60 descriptors. Nothing has to be mended."
    text = " ".join(line.strip() for line in lines)
    assert re.search(
        r"1\. At the threshold 0\.38, the greatest distance that counts as one person, at most [\d.]+ % of strangers",
        text,
    )
    assert "    FACE128_DECISION=cohort FACE128_ALPHA=0.01 face128 serve" in lines
    assert max(map(wcswidth, lines)) <= columns


def test_the_same_in_a_pipe_and_without_colours(folder: Path) -> None:
    with pseudo_terminal(folder, "audit", "bad.json", columns=120, NO_COLOR="1") as terminal:
        terminal.end()
    assert b"\x1b[3" not in terminal.raw, "no colour"
    piped = forked(folder, "audit", "bad.json")
    assert piped.stdout.splitlines()[0].endswith("Until then the estimates below are too high.")
    assert "\x1b" not in piped.stdout


def test_each_kind_of_finding_has_a_command_that_exists(folder: Path) -> None:
    commands = {command.split()[1:3][0] for kind in KINDS.values() for command in kind.commands}
    assert commands == {"gallery", "reencode"}
    for line in ("gallery erase --help", "reencode --help"):
        assert forked(folder, *line.split()).returncode == 0
    assert "--out" in forked(folder, "reencode", "--help", COLUMNS="200").stdout
    for finding in json.loads(forked(folder, "audit", "bad.json", "--json").stdout)["findings"]:
        assert finding["advice"]
        assert all("bad.json" in command or "NUMBER" in command for command in finding["commands"])
        assert len(finding["names"]) == len(finding["members"])


def test_defects_come_in_the_order_in_which_they_are_mended(folder: Path) -> None:
    kinds = [each["kind"] for each in json.loads(forked(folder, "audit", "bad.json", "--json").stdout)["findings"]]
    kinds.remove("origin")  # of random numbers; it comes last
    assert kinds == ["duplicate", "perhaps_one_person", "invalid_descriptor", "not_enrolled"]


def test_the_page_is_opened_in_the_browser(folder: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    run = forked(folder, "audit", "good.json", "--out", tmp_path / "out", "--open", BROWSER=f"{browser} %s")
    assert run.returncode == 0
    assert (tmp_path / "opened").read_text().strip() == (tmp_path / "out" / "audit.html").as_uri()
    assert run.stderr == f"The page is {tmp_path / 'out' / 'audit.html'}.\n"
    none = forked(folder, "audit", "good.json", "--open")
    assert none.returncode == 2
    assert "--out FOLDER" in none.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("audit table.csv", "table.csv is no list of members"),
        ("audit missing.json", "missing.json"),
        ("calibrate --gallery table.csv", "table.csv is no list of members"),
        ("calibrate --gallery one.json", "--gallery one.json has no two members"),
        ("calibrate empty", "empty has no photos in folders"),
        ("calibrate", "PHOTOS, --gallery"),
        ("evaluate table.csv empty", "Line 1 of table.csv"),
        ("evaluate pairs.txt empty", "None of the photos that pairs.txt names is in empty"),
    ],
)
def test_an_error_names_the_file_or_the_option(folder: Path, line: str, told: str) -> None:
    (folder / "table.csv").write_text("a;b\n1;2\n")
    write_members(folder / "one.json", [member(1, None, strangers(1)[0])])
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "pairs.txt").write_text("Ada\t1\t2\nAda\t1\tBob\t1\n")
    run = forked(folder, *line.split(), FACE128_THREADS="1")
    assert (run.returncode, told in run.stderr) == (2, True), run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_are_read_as_spreadsheets_write_them(folder: Path, tmp_path: Path, separator: str, mark: str) -> None:
    members = members_with_defects()
    rows = [["regNo", "name", "photo", "model", "descriptor"]]
    for one in members:
        text = "" if one["descriptor"] is None else json.dumps(one["descriptor"])
        rows.append([str(one["regNo"]), one["name"], "a.jpg", "dlib-resnet-v1", text])
    lines = (separator.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "members.csv").write_text(mark + "\r\n".join(lines), encoding="utf-8")
    answers = []
    for file in (folder / "bad.json", tmp_path / "members.csv"):
        answer = json.loads(forked(folder, "audit", file, "--json", "--threshold", "0,41").stdout)
        answers.append([answer["crowds"], [[each["kind"], each["detail"]] for each in answer["findings"]]])
    # In a table a number is not told from a text of digits.
    assert json.dumps(answers[0]).replace('"1029"', "1029") == json.dumps(answers[1])


def test_lines_of_json_are_read_and_a_byte_order_mark_is_none_of_them(folder: Path, tmp_path: Path) -> None:
    members = [{**one, "descriptors": {"dlib-resnet-v1": one.pop("descriptor")}} for one in members_with_defects()]
    (tmp_path / "e.jsonl").write_text("\ufeff" + "\n".join(map(json.dumps, members)))
    expected, found = (
        json.loads(forked(folder, "audit", file, "--json").stdout)["crowds"]
        for file in (folder / "bad.json", tmp_path / "e.jsonl")
    )
    assert found == expected


def test_evaluate_counts_and_names_who_was_left_out(tmp_path: Path) -> None:
    people_folder(tmp_path / "people")
    for person in (tmp_path / "people").iterdir():
        for place, photo in enumerate(sorted(person.glob("*.[jp]*")), start=1):
            photo.rename(person / f"{person.name}_{place:04}.jpg")
    pairs = ["Obama\t1\t2", "Obama\t2\t3", "Hopper\t1\t2", "Obama\t1\tBiden\t1", "Collins\t1\tHopper\t2"]
    (tmp_path / "pairs.csv").write_text("\ufeff" + "\n".join(pairs).replace("\t", ";"))
    with pseudo_terminal(tmp_path, "evaluate", "pairs.csv", "people", columns=80, FACE128_THREADS="1") as terminal:
        assert terminal.end() == 0, terminal.text
        lines = terminal.lines
    text = " ".join(line.strip() for line in lines)
    assert "judges 100 % (at least 22 %) of 4 pairs rightly" in text
    assert "1 pair is left out, because 1 photo has no descriptor: Hopper/Hopper_0001.jpg" in text
    assert "0 of 2: at most" in text
    assert max(map(wcswidth, lines)) <= 80


def test_both_networks_and_their_pairs_are_compared_on_the_same_photos(tmp_path: Path) -> None:
    people_folder(tmp_path / "people")
    model = tiny_model(tmp_path / "model")
    line = "calibrate people --engine dlib,retail --json"
    run = forked(tmp_path, *line.split(), FACE128_RETAIL_MODEL=str(model), FACE128_THREADS="1")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    names = [each["model"] for each in answer["models"]]
    assert names[0] == "dlib-resnet-v1"
    assert names[2] == "+".join(names[:2])
    assert [each["model"] for each in answer["comparison"]] == names
    assert {each["photos"] for each in answer["models"]} == {6}
    assert {tuple(each["failed"]) for each in answer["models"]} == {("Hopper/blank.png",)}


def people(count: int, twin: bool, spreads: tuple[float, float] = (0.05, 0.5)) -> list[Calibration]:
    """By dlib's network and retail, and their pairs. With ``twin``, the last folder is of the first person."""
    random = np.random.default_rng(0)
    found = []
    for card, spread in zip((DLIB, RETAIL), spreads, strict=True):
        centres = random.normal(0, spread, (count, card.dimension))
        if twin:
            centres[-1] = centres[0]
        vectors = {
            Path(f"person {person}/{photo}.jpg"): centre
            + random.normal(0, 0.55 * 0.05 * (1 + 9 * (card == RETAIL)), card.dimension)
            for person, centre in enumerate(centres)
            for photo in range(3)
        }
        found.append(DescribedPhotos(card, vectors, {}))
    pairs = pairs_of(*found)
    assert pairs
    return [measure(each) for each in (*found, pairs)]


def test_two_folders_of_one_person_come_first() -> None:
    verdict = calibration_verdict(people(30, twin=True), "face128 calibrate people")
    assert verdict.sentence.startswith("1 pair of folders looks like one person: look at them first.")
    assert "person 0/" in verdict.steps[0].what
    assert "person 29/" in verdict.steps[0].what
    assert verdict.steps[0].commands == ["face128 calibrate people"]
    assert not any("threshold" in step.what for step in verdict.steps)
    assert "At the threshold 0.38" in calibration_verdict(people(30, twin=False), "").sentence


def test_the_gain_of_a_second_network_is_told_with_the_command_that_switches() -> None:
    same = people(40, twin=False)
    better = people(40, twin=False, spreads=(0.02, 0.5))
    told = {name: calibration_verdict(one, "").steps[0] for name, one in (("same", same), ("better", better))}
    assert "one person is refused in: dlib-resnet-v1 " in told["better"].what
    assert told["better"].commands[0] == "face128 reencode PHOTOS --engine dlib,retail --out enrolled.json"
    assert "FACE128_DECISION_MODELS=" in told["better"].commands[1]
    assert "No other decides better than dlib-resnet-v1" in told["same"].what
    assert told["same"].commands == []
