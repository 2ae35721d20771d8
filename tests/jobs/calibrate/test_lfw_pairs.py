"""LFW's list of pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from face128.errors import BadRequest
from face128.jobs.calibrate.photo_pairs import LabelledPair, read_pairs

GOOD = "1\nAda\t1\t12\nAda\t3\tGrace Hopper\t1\n"


def test_a_pair_of_one_person_and_a_pair_of_two_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(GOOD)
    assert read_pairs(tmp_path / "pairs.txt", Path("images")) == [
        LabelledPair(Path("images/Ada/Ada_0001.jpg"), Path("images/Ada/Ada_0012.jpg"), same=True),
        LabelledPair(Path("images/Ada/Ada_0003.jpg"), Path("images/Grace Hopper/Grace Hopper_0001.jpg"), same=False),
    ]


def test_the_counts_of_ten_folds_are_understood(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(GOOD.replace("1\n", "10\t300\n", 1))
    assert len(read_pairs(tmp_path / "pairs.txt", Path("images"))) == 2


@pytest.mark.parametrize(
    "text",
    ["Ada\t1\n", GOOD + "Ada\tone\ttwo\n", GOOD + "500\n", "1\nAda\t1\t2\n", "", GOOD + f"Ada\t{'1' * 5000}\t2\n"],
)
def test_what_is_no_list_of_pairs_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(BadRequest):
        read_pairs(tmp_path / "pairs.txt", Path("images"))


def test_the_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(GOOD + "nonsense\n")
    with pytest.raises(BadRequest, match="Line 4 "):
        read_pairs(tmp_path / "pairs.txt", Path("images"))
