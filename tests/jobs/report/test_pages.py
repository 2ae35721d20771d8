"""The pages of audit, calibrate and evaluate in Chromium: three widths, light and dark, on paper; and their figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked_command import forked
from reports import (
    TWINS,
    labelled_pairs,
    member,
    members_with_defects,
    people_folder,
    shares,
    strangers,
    write_members,
)
from web_page import WebPage, browser

from face128.jobs.report.verdict import finding_heading

WIDTHS = (360, 800, 1600)
PAGES = {"audit": "audit", "calibration": "calibration", "gallery": "calibration", "evaluation": "evaluation"}
"""The file's name, by the folder's."""


@pytest.fixture(scope="module")
def tab() -> Iterator[WebPage]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """By name: the page, and what --json said in the same run."""
    folder = tmp_path_factory.mktemp("reports")
    write_members(folder / "bad.json", members_with_defects())
    write_members(folder / "good.json", [member(i, f"<b>{i}", vector) for i, vector in enumerate(strangers(250))])
    people_folder(folder / "people")
    labelled_pairs(folder)
    lines = {
        "audit": "audit bad.json --out audit --json",
        "calibration": "calibrate people --out calibration --json",
        "gallery": "calibrate --gallery good.json --out gallery --json",
        "evaluation": "evaluate pairs.txt lfw --out evaluation --json",
    }
    found = {}
    for name, line in lines.items():
        run = forked(folder, *line.split(), FACE128_THREADS="1")  # it loads the engine once
        assert run.returncode == (1 if name == "audit" else 0), run.stderr
        found[name] = folder / name / f"{PAGES[name]}.html", json.loads(run.stdout)
    return found


def tables(tab: WebPage) -> list[list[list[str]]]:
    """Of the page: headings and rows."""
    cells = "[...row.cells].map((cell) => cell.innerText.trim())"
    return tab.value(f"[...document.querySelectorAll('table')].map((t) => [...t.rows].map((row) => {cells}))")  # type: ignore[no-any-return]


def table(tab: WebPage, heading: str) -> list[list[str]]:
    return next(rows[1:] for rows in tables(tab) if heading in rows[0])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(
    name: str, width: int, theme: Any, tab: WebPage, reports: dict[str, tuple[Path, Any]]
) -> None:
    tab.open(reports[name][0], width, theme)
    assert tab.axe() == []
    assert tab.value("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    cut = tab.value(
        "[...document.querySelectorAll('td, th, p, code, h1, h2, img, li')].filter((e) => "
        "e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map((e) => e.outerHTML.slice(0, 200))"
    )
    assert cut == []
    assert tab.value("[...document.images].every((image) => image.naturalWidth > 0)")
    assert tab.value("Math.min(...[...document.images].map((image) => image.clientWidth), 999)") >= 60
    smallest = tab.value(
        "Math.min(...[...document.querySelectorAll('main *')].map((e) => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12


@pytest.mark.parametrize("name", ["audit", "calibration", "evaluation"])
def test_plots_are_drawn_for_the_theme_and_for_small_screens(
    name: str, tab: WebPage, reports: dict[str, tuple[Path, Any]]
) -> None:
    chosen = set()
    for theme, width in (("light", 360), ("dark", 360), ("light", 800), ("dark", 800)):
        tab.open(reports[name][0], width, theme)  # type: ignore[arg-type]
        # The length of a picture's data tells which it is.
        chosen.add(tab.value("document.querySelector('picture img').currentSrc.length"))
    assert len(chosen) == 4


@pytest.mark.parametrize("name", ["audit", "calibration", "evaluation"])
def test_on_paper_no_row_and_no_figure_is_cut(name: str, tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    tab.open(reports[name][0], 800, "dark")
    tab.ask("Emulation.setEmulatedMedia", media="print")
    breaks = "(e) => getComputedStyle(e).breakInside"
    assert set(tab.value(f"[...document.querySelectorAll('tr, figure, .verdict')].map({breaks})")) == {"avoid"}
    heads = "[...document.querySelectorAll('thead')].map((e) => getComputedStyle(e).display)"
    assert set(tab.value(heads)) == {"table-header-group"}, "the headings stand on each page"
    tab.ask("Emulation.setEmulatedMedia", media="")
    assert tab.pdf().startswith(b"%PDF")


def test_a_page_has_nothing_from_elsewhere_and_no_markup_of_members(reports: dict[str, tuple[Path, Any]]) -> None:
    for page, _ in reports.values():
        text = page.read_text()
        for outside in ("http://", "https://", 'src="/', "@import", "$", "<b>0"):
            assert outside not in text.replace("<b>0.", "")


@pytest.mark.parametrize("name", PAGES)
def test_the_first_lines_are_the_verdict(name: str, tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    page, answer = reports[name]
    tab.open(page)
    first = tab.value("document.querySelector('h1').nextElementSibling.className")
    assert first.startswith("verdict")
    assert tab.value("document.querySelector('.verdict p').innerText") == answer["verdict"]["sentence"]
    steps = tab.value("[...document.querySelectorAll('.verdict li')].map((e) => e.firstChild.textContent)")
    assert steps == [step["what"] for step in answer["verdict"]["steps"]]
    commands = tab.value("[...document.querySelectorAll('.verdict code')].map((e) => e.innerText)")
    assert commands == [command for step in answer["verdict"]["steps"] for command in step["commands"]]


def test_the_figures_of_an_audit_are_those_of_its_json(tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    page, answer = reports["audit"]
    tab.open(page)
    defects = [row for rows in tables(tab) if rows[0] == ["who", "found"] for row in rows[1:]]
    assert [row[1] for row in defects] == [finding["detail"] for finding in answer["findings"]]
    number, name, other, other_name = TWINS
    assert f"{number} ({name}) and {other} ({other_name})" in [row[0] for row in defects]
    order = tab.value("[...document.querySelectorAll('h2')].map((e) => e.innerText)")
    kinds = Counter(finding["kind"] for finding in answer["findings"])
    assert order[: len(kinds)] == [finding_heading(kind, count) for kind, count in kinds.items()]
    assert order[len(kinds)].startswith("Estimates from"), "defects come before estimates"
    check_stranger_risks(tab, answer)


def check_stranger_risks(tab: WebPage, answer: Any) -> None:
    (crowd,) = answer["crowds"]
    for row, estimate in zip(table(tab, "strangers let in as some member (FPIR)"), crowd["expected_fpir"], strict=True):
        assert float(row[0]) == estimate["threshold"]
        check_rate(row[1], estimate["share"], estimate["low"], estimate["high"])
    for row, advice in zip(table(tab, "FPIR wanted"), crowd["wanted_fpir"], strict=True):
        assert shares(row[0]) == [advice["fpir"]]
        if advice["threshold"] is None:
            assert f"{advice['threshold_needs']:,}" in row[1]
        else:
            assert float(row[1]) == pytest.approx(advice["threshold"], abs=1e-4)
    hubs = [[str(hub["member"]), hub["name"], hub["nearest_to"], hub["within"]] for hub in crowd["doorways"]]
    assert [
        [*row[:2], float(row[2]), float(row[3])] for row in (table(tab, "most alike to so many") if hubs else [])
    ] == hubs


def check_rate(text: str, value: float, low: float, high: float) -> None:
    if value == 0:
        assert text.startswith("at most")
        assert shares(text) == pytest.approx([high], rel=0.06)
    elif value == 1:
        assert shares(text) == pytest.approx([1, low], rel=0.06)
        assert "at least" in text
    else:
        assert shares(text) == pytest.approx([value, low, high], rel=0.06, abs=1e-4)


def test_the_figures_of_a_calibration_are_those_of_its_json(tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    page, answer = reports["calibration"]
    tab.open(page)
    curve = answer["curve"]
    for row in table(tab, "two people taken for one (FAR)"):
        point = min(curve, key=lambda one: abs(one["threshold"] - float(row[0])))
        assert point["threshold"] == float(row[0])
        check_rate(row[1], *point["far"].values())
        check_rate(row[2], *point["frr"].values())
    for row in table(tab, "members enrolled"):
        size = row[0].rstrip(" *").replace(",", "")
        for cell, (threshold, by_size) in zip(row[1:], answer["strangers_accepted"].items(), strict=True):
            check_rate(cell, by_size[size], *answer["strangers_accepted_interval"][threshold][size])
    assert answer["failed"] == {"Hopper/blank.png": "no_face"}
    ((photo, code, advice),) = table(tab, "left out because")
    assert (photo, code) == ("Hopper/blank.png", "no_face")
    assert advice
    assert f"{answer['genuine_pairs']} pairs of one person, {answer['impostor_pairs']} of two" in tab.value(
        "document.body.innerText"
    )
    pairs = tab.value("[...document.querySelectorAll('ul.pairs b')].map((e) => parseFloat(e.innerText))")
    worst = [pair["distance"] for pair in answer["perhaps_one_person"] + answer["most_like"] + answer["least_like"]]
    assert pairs == pytest.approx(worst, abs=6e-4)


def test_the_figures_of_a_gallery_are_those_of_its_json(tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    page, answer = reports["gallery"]
    tab.open(page)
    check_stranger_risks(tab, answer)
    assert answer["crowds"][0]["wanted_fpir"][0]["threshold"]


def test_the_figures_of_an_evaluation_are_those_of_its_json(tab: WebPage, reports: dict[str, tuple[Path, Any]]) -> None:
    page, answer = reports["evaluation"]
    tab.open(page)
    for row, rates in zip(table(tab, "two people taken for one (FAR)"), answer["rates"], strict=True):
        assert float(row[0]) == rates["threshold"]
        for cell, kind, count, pairs in (
            (row[1], "far", "accepted_impostor_pairs", "impostor_pairs"),
            (row[2], "frr", "refused_genuine_pairs", "genuine_pairs"),
        ):
            counted, share = cell.split(": ")
            assert counted == f"{rates[count]} of {answer[pairs]}"
            check_rate(share, rates[kind], *rates[f"{kind}_interval"])
    assert table(tab, "left out because")[0][:2] == ["Hopper/Hopper_0002.jpg", "no_face"]
    assert "7 photos of 4 people" in tab.value("document.body.innerText")


def test_each_abbreviation_is_explained_once_where_it_stands(
    tab: WebPage, reports: dict[str, tuple[Path, Any]]
) -> None:
    for name, terms in (
        ("audit", ["FPIR", "alpha"]),
        ("calibration", ["FAR", "FRR"]),
        ("gallery", ["FPIR", "alpha"]),
        ("evaluation", ["FAR", "FRR"]),
    ):
        tab.open(reports[name][0])
        text = tab.value("document.querySelector('main').innerText")
        for term in terms:
            assert text.count(f"{term} is the share") == 1
        for term in {"FAR", "FRR", "FPIR"} - set(terms):
            assert f" {term} " not in text
