"""What is printed fits the terminal, is plain text without one, and cannot hold control characters."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked_command import forked
from pseudo_terminal import pseudo_terminal
from wcwidth import wcswidth

PATH = "/srv/photos/of/all/members/who/have/ever/been/here/2026/11/30/1029_Vicky_T_and_a_long_name.jpg"
SENTENCE = "Every photo that fails is named with the reason, and what to do about it stands beside it in the same line."

ADVICE = "Send a photo of one person alone, taken from the front, in daylight, without a hat or a mask."

SPEAK = f"""
from face128.terminal.speech import ERR, OUT
OUT.say({SENTENCE!r}, indent=2, hanging=3)
OUT.say("Look at {PATH} again.")
OUT.command("face128 reencode {PATH} --out enrolled.json")
OUT.table(
    ["number", "name", "what to do"],
    [[1029, "Vicky T", {ADVICE!r}], [7, "\\u7530\\u4e2d\\u3055\\u3093", "Nothing."]],
)
OUT.say("Bidi \\u202e, ESC \\x1b[31m and [bold]markup[/bold] :smile:")
OUT.table(["file", "what to do"], [["{PATH}", "Take it again."], ["a.jpg", ""]])
OUT.heading("A heading")
ERR.say("A note.", style="bad")
"""


@pytest.fixture(scope="module", params=[60, 80, 120])
def screen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[str]]:
    with pseudo_terminal(tmp_path_factory.mktemp("screen"), code=SPEAK, columns=request.param) as terminal:
        assert terminal.end() == 0, terminal.text
        return request.param, terminal.lines


def test_a_sentence_is_wrapped_between_words(screen: tuple[int, list[str]]) -> None:
    columns, lines = screen
    end = next(i for i, line in enumerate(lines) if line.startswith("Look at"))
    paragraph = lines[:end]
    assert len(paragraph) == (1 if columns == 120 else 2)
    assert paragraph[0].startswith("  Every")
    assert all(line.startswith("     ") for line in paragraph[1:])
    assert " ".join(line.strip() for line in paragraph) == SENTENCE


def test_a_path_and_a_command_are_not_cut(screen: tuple[int, list[str]]) -> None:
    # The terminal itself continues a long line on the next one: what is copied has no line break in it.
    text = "".join(line for line in screen[1])
    assert text.count(PATH) == 3
    assert f"    face128 reencode {PATH} --out enrolled.json" in text


def test_a_table_fits_or_becomes_blocks(screen: tuple[int, list[str]]) -> None:
    columns, lines = screen
    assert max(map(wcswidth, lines)) <= columns
    heading = next(line for line in lines if line.startswith("number"))
    assert heading.split() == ["number", "name", "what", "to", "do"]
    position = heading.index("what to do")
    first, second = (
        next(i for i, line in enumerate(lines) if line.startswith(start)) for start in ("  1029", "     7")
    )
    assert " ".join(line[position:].strip() for line in lines[first:second]) == ADVICE
    assert "田中さん" in lines[second]
    file = next(line for line in lines if line.startswith("file"))
    assert ("what to do" in file) == (columns == 120)  # else a line for each cell


def test_nothing_that_is_printed_reaches_the_terminal_as_a_control_character(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path, code=SPEAK, columns=120, NO_COLOR="1") as terminal:
        terminal.end()
    assert r"Bidi \u202e, ESC \x1b[31m and [bold]markup[/bold] :smile:" in terminal.text
    assert b"\x1b[31m" not in terminal.raw
    assert "\u202e".encode() not in terminal.raw


def test_colours_are_only_for_terminals_and_without_no_color(tmp_path: Path) -> None:
    raw = {}
    for value in ("", "1"):
        with pseudo_terminal(tmp_path, code=SPEAK, NO_COLOR=value) as terminal:
            terminal.end()
        raw[value] = terminal.raw
    assert b"\x1b[1;38;5;" in raw[""]
    assert b"\x1b[1;38;5;" not in raw["1"]
    assert b"38;5" not in raw["1"]


@pytest.mark.parametrize("settings", [{}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}, {"COLUMNS": "60"}])
def test_without_a_terminal_there_is_plain_text(tmp_path: Path, settings: dict[str, str]) -> None:
    run = forked(tmp_path, code=SPEAK, **settings)
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == f"  {SENTENCE}"  # whole: a program may read it
    assert lines[1] == f"Look at {PATH} again."
    assert any(PATH in line for line in lines[3:])
    assert run.stderr == "A note.\n"
