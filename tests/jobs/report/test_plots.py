"""What the plots draw: nothing is clipped, colours differ for everybody, and a rate of zero is "at most"."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from reports import member, strangers, write_members

from face128.domain.model_card import DLIB, RETAIL
from face128.jobs.audit.lenient_reader import UncheckedMembers
from face128.jobs.audit.stranger_risk import stranger_risks
from face128.jobs.calibrate.calibrate import Calibration, measure
from face128.jobs.calibrate.described_photos import DescribedPhotos, pairs_of
from face128.jobs.report import plots

# Of linear RGB, for people without green cones, and without red ones (Viénot, Brettel, Mollon, Color Res. Appl. 1999).
DEUTERANOPIA = np.array([[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]])
PROTANOPIA = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.004, -0.004, 1]])


@pytest.fixture(scope="module")
def calibrations() -> list[Calibration]:
    """Of two networks and their pairs: at the thresholds no two of twenty people are taken for one."""
    random = np.random.default_rng(0)
    found = []
    for card, spread in ((DLIB, 0.05), (RETAIL, 0.5)):
        vectors = {}
        for person in range(20):
            centre = random.normal(0, spread, card.dimension)
            for photo in range(4):
                place = Path(f"person {person}/{photo}.jpg")
                vectors[place] = centre + random.normal(0, 0.55 * spread, card.dimension)
        found.append(DescribedPhotos(card, vectors, {}))
    pairs = pairs_of(*found)
    assert pairs
    return [measure(each) for each in (*found, pairs)]


def figures(calibrations: list[Calibration], folder: Path) -> list[tuple[Any, Any]]:
    listed = [member(i, None, vector) for i, vector in enumerate(strangers(250))]
    members = UncheckedMembers(write_members(folder / "e.json", listed).read_bytes())
    (risk,) = stranger_risks(members)
    assert risk.recommendations[0.01].threshold
    per_model = [(plot, one) for plot in plots.PLOTS.values() for one in calibrations]
    return [
        *per_model,
        (plots.plot_det, calibrations[:1]),
        (plots.plot_det, calibrations),
        (plots.plot_nearest_others, risk),
    ]


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_nothing_is_clipped_and_every_line_is_in_the_legend(
    calibrations: list[Calibration], size: plots.Size, tmp_path: Path
) -> None:
    for plot, data in figures(calibrations, tmp_path):
        with plots.figure_of(plot, data, "light", size) as figure:
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            renderer = canvas.get_renderer()
            (axes,), (legend,) = figure.axes, figure.legends
            texts = [axes.xaxis.label, axes.yaxis.label, *legend.get_texts()]
            low, high = axes.get_xlim()
            texts += [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
            whole = figure.bbox.padded(1)
            for text in [each for each in texts if each.get_text()]:
                box = text.get_window_extent(renderer)
                inside = whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1
                assert inside, (plot.__name__, size, text.get_text())
            assert legend.get_window_extent(renderer).y1 <= axes.get_window_extent(renderer).y0, "it hides lines"
            assert axes.get_xlabel()
            assert axes.get_ylabel()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_differ_from_the_ground_and_for_the_colour_blind_from_each_other(theme: plots.Theme) -> None:
    ground = linear(plots.GROUND[theme])
    for colour in plots.SERIES_COLOURS[theme]:
        assert contrast(linear(colour), ground) >= 3
    blue, orange, _ = map(linear, plots.SERIES_COLOURS[theme])
    for seen in (np.eye(3), DEUTERANOPIA, PROTANOPIA):
        a, b = (np.clip(seen @ colour, 0, 1) ** (1 / 2.2) for colour in (blue, orange))
        assert np.abs(a - b).max() > 0.3, "blue stays blue, orange turns yellow"
    assert len(set(plots.LINE_STYLES)) == len(set(plots.MARKERS)) == len(plots.SERIES_COLOURS[theme])


def linear(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    light = sorted(float(colour @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (a, b))
    return light[1] / light[0]


def test_a_stricter_threshold_never_looks_worse(calibrations: list[Calibration]) -> None:
    for calibration in calibrations:
        by_size = [[risk for risk in risks.values()] for risks in calibration.gallery_size_risk.values()]
        assert len(by_size) == 3
        assert any(risk.value == 0 for risk in by_size[0])
        for strict, loose in combinations(by_size, 2):
            for a, b in zip(strict, loose, strict=True):
                assert a.value <= b.value + 1e-12
                assert a.value <= a.high <= b.high + 1e-12
        for risks in by_size:
            assert [risk.high for risk in risks] == sorted(risk.high for risk in risks)


def test_of_a_rate_of_zero_the_bound_is_drawn_with_a_caret(calibrations: list[Calibration]) -> None:
    with plots.figure_of(plots.plot_gallery_size_risk, calibrations[0], "light", "wide") as figure:
        (axes,) = figure.axes
        carets = [line for line in axes.lines if line.get_marker() == "v"]
        risks = next(iter(calibrations[0].gallery_size_risk.values()))
        expected = [100 * risk.high for risk in risks.values() if risk.value == 0]
        assert carets[0].get_ydata() == pytest.approx(expected)
        assert "at most" in str(carets[0].get_label())
        for line in axes.lines:  # and no line passes through a rate of zero
            assert not (np.asarray(line.get_ydata()) == 0).any()
    with plots.figure_of(plots.plot_rates, calibrations[0], "light", "wide") as figure:
        far = calibrations[0].at(DLIB.threshold)[0]
        assert far.value == 0
        (caret,) = [line for line in figure.axes[0].lines if line.get_marker() == "v"]
        assert (list(caret.get_xdata()), list(caret.get_ydata())) == ([DLIB.threshold], [100 * far.high])


def test_the_point_at_the_threshold_lies_on_its_curve(calibrations: list[Calibration]) -> None:
    with plots.figure_of(plots.plot_det, calibrations, "light", "wide") as figure:
        (axes,) = figure.axes
        assert "none" in [tick.get_text() for tick in axes.get_xticklabels()]
        curves = [
            line for line in axes.lines if line.get_linestyle() != "None" and len(np.asarray(line.get_xdata())) > 9
        ]
        points = [bars.lines[0] for bars in axes.containers]
        assert len(curves) == len(points) == 3
        zeros = 0
        for calibration, curve, point in zip(calibrations, curves, points, strict=True):
            place = calibration.thresholds.index(calibration.card.threshold)
            on_curve = [np.asarray(curve.get_xdata())[place], np.asarray(curve.get_ydata())[place]]
            assert [*point.get_xdata(), *point.get_ydata()] == pytest.approx(on_curve)
            zeros += calibration.far[place].value == 0
            assert axes.get_xlim()[0] < on_curve[0] < axes.get_xlim()[1]
        assert zeros


def test_each_theme_has_its_ground(calibrations: list[Calibration]) -> None:
    for theme, ground in plots.GROUND.items():
        png = plots.draw(plots.plot_distances, calibrations[0], theme)  # type: ignore[arg-type]
        image = Image.open(io.BytesIO(png)).convert("RGB")
        assert image.getpixel((1, 1)) == tuple(int(ground[i : i + 2], 16) for i in (1, 3, 5))
