"""The bar: it counts results, its rate and time left are true, and without a terminal there are few lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from forked_command import forked
from pseudo_terminal import CTRL_C, pseudo_terminal

from face128.terminal.progress import Progress, format_duration, format_rate

WORK = """
import sys, time
from face128.terminal.progress import Progress
from face128.terminal.speech import ERR
with Progress("Encoding photos", 1549) as bar:
    bar.found_done(549)
    for _ in range(40):
        time.sleep(0.02)
        bar.advance(10)
    ERR.say("A note in between.")
    print("for the pipe")
    sys.stdin.readline()
    bar.advance(600)
with Progress("Writing enrolled.json"):
    pass
"""


class Clock:
    """Stands in for the time alone, which a test cannot wait for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("face128.terminal.progress.time.monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_bar_fits_and_counts(tmp_path: Path, columns: int) -> None:
    with pseudo_terminal(tmp_path, code=WORK, columns=columns) as terminal:
        terminal.wait_for("949/1,549")
        terminal.wait_for("for the pipe")
        (bar,) = (line for line in terminal.lines if line.startswith("Encoding photos"))
        assert re.fullmatch(r"Encoding photos  ━+╸? *╺?━* *949/1,549  \d+(\.\d)?/s  \d+ s left", bar), bar
        assert not terminal.cursor_is_shown
        terminal.type("\n")
        assert terminal.end() == 0, terminal.text
    assert terminal.lines.index("A note in between.") < len(terminal.lines) - 2  # above the bar, which is redrawn
    assert re.search(r"^Encoding photos  ━+  1,549/1,549  in \d+ s$", terminal.text, re.MULTILINE)
    assert terminal.lines[-1].startswith("Writing enrolled.json")
    assert terminal.cursor_is_shown


def test_the_bar_leaves_a_pipe_alone(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path, code=WORK, stdout=str(tmp_path / "out")) as terminal:
        terminal.wait_for("949/1,549")
        terminal.type("\n")
        assert terminal.end() == 0, terminal.text
    assert (tmp_path / "out").read_text() == "for the pipe\n"
    assert "for the pipe" not in terminal.text


def test_ctrl_c_stops_the_bar_and_shows_the_cursor(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path, code=WORK) as terminal:
        terminal.wait_for("949/1,549")
        terminal.type(CTRL_C)
        assert terminal.end() != 0
    assert terminal.cursor_is_shown
    assert "949/1,549" in terminal.text


@pytest.mark.parametrize("settings", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_without_cursor_or_colours(tmp_path: Path, settings: dict[str, str]) -> None:
    with pseudo_terminal(tmp_path, code=WORK, **settings) as terminal:
        terminal.wait_for("for the pipe")
        terminal.type("\n")
        assert terminal.end() == 0
    colour = re.compile(rb"\x1b\[[0-9;]*[34][0-9](;|m)")
    assert not colour.search(terminal.raw)
    assert (b"\x1b" in terminal.raw) == ("TERM" not in settings)


def test_a_short_job_is_silent_without_a_terminal(tmp_path: Path) -> None:
    run = forked(tmp_path, code=WORK, FORCE_COLOR="1")
    assert (run.stdout, run.stderr) == ("for the pipe\n", "A note in between.\n")


def test_a_long_job_has_a_line_for_each_tenth_without_a_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("Encoding photos", 1000) as bar:
        for _ in range(1000):
            clock.now_s += 1
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[2] == "Encoding photos: 300/1,000, 30 %, 1.0/s, 11 min 40 s left"
    assert lines[9] == "Encoding photos: 1,000/1,000, 100 %, in 16 min 40 s"


def test_the_time_left_is_true_from_a_fifth_on_although_processes_start_and_results_come_in_groups(
    clock: Clock,
) -> None:
    start_s, per_group_s, group, total = 2.0, 0.16, 8, 1549
    bar = Progress("Encoding photos", total)
    clock.now_s += start_s
    while bar.done < total:
        clock.now_s += per_group_s
        bar.advance(min(group, total - bar.done))
        truth_s = (total - bar.done) / group * per_group_s
        if bar.done >= total / 5:
            assert bar.seconds_left() == pytest.approx(truth_s, rel=0.05, abs=per_group_s)
        assert bar.rate() is not None


def test_what_an_earlier_run_has_done_does_not_count_for_the_rate(clock: Clock) -> None:
    bar = Progress("Encoding photos", 1000)
    bar.found_done(900)
    assert bar.seconds_left() is None
    for _ in range(50):
        clock.now_s += 1
        bar.advance()
    assert bar.rate() == pytest.approx(1)
    assert bar.seconds_left() == pytest.approx(50)


def test_how_durations_and_rates_are_written() -> None:
    assert [format_duration(s) for s in (0, 3.4, 130, 3900, 90_000)] == [
        "0 s",
        "3 s",
        "2 min 10 s",
        "1 h 5 min",
        "25 h 0 min",
    ]
    assert [format_rate(r) for r in (0.2, 0.999, 8.53, 104.2)] == ["12/min", "60/min", "8.5/s", "104/s"]
