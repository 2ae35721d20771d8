"""The plots of a calibration and of a stranger risk, as PNG. Needs matplotlib: pip install 'face128[plots]'."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from face128.domain.descriptors import Vector
from face128.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.calibrate.bootstrap import RateEstimate
    from face128.jobs.calibrate.calibrate import Calibration

T = TypeVar("T")
GENUINE_COLOUR, IMPOSTOR_COLOUR = "#2a9d5c", "#d9534f"  # green and red, equally visible on white and on black
TEXT_COLOURS = {"light": "#222222", "dark": "#dddddd"}
THRESHOLD_COLOURS = ("#4a7fd4", "#b07aa1", IMPOSTOR_COLOUR, GENUINE_COLOUR)
BACKGROUND_COLOURS = {"light": "#ffffff", "dark": "#1b1d21"}


def draw(plot: Callable[[Axes, T], None], data: T, theme: Literal["light", "dark"] = "light") -> bytes:
    """One of PLOTS of a calibration, or plot_nearest_others of a stranger risk, as the bytes of a PNG.

    Raises ConfigurationError if matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError("Plots need matplotlib: pip install 'face128[plots]'.") from None
    text, background = TEXT_COLOURS[theme], BACKGROUND_COLOURS[theme]
    style: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), text)
    style |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), background)
    style |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 11, "axes.grid": True}
    style["axes.formatter.min_exponent"] = 9  # 0.01 on a logarithmic axis, not a power of ten
    with rc_context(style | {"grid.alpha": 0.25, "grid.color": text}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        plot(figure.add_subplot(), data)
        png = io.BytesIO()
        figure.savefig(png, dpi=130)
    return png.getvalue()


def plot_distances(axes: Axes, calibration: Calibration) -> None:
    pairs = calibration.pairs
    axes.hist(
        [pairs.distances[pairs.genuine], pairs.distances[~pairs.genuine]],
        np.linspace(0, float(pairs.distances.max()), 80).tolist(),
        density=True,
        histtype="stepfilled",
        alpha=0.6,
        color=[GENUINE_COLOUR, IMPOSTOR_COLOUR],
        label=["one person", "two people"],
    )
    _draw_threshold(axes, calibration.card.threshold)
    axes.set(xlabel="distance between two photos", ylabel="density", yticks=[])
    axes.legend()


def plot_rates(axes: Axes, calibration: Calibration) -> None:
    for curve, colour, label in (
        (calibration.far, IMPOSTOR_COLOUR, "strangers accepted (FAR)"),
        (calibration.frr, GENUINE_COLOUR, "same person refused (FRR)"),
    ):
        percents, low, high = _percents(curve)
        axes.fill_between(calibration.thresholds, low, high, color=colour, alpha=0.3)
        axes.plot(calibration.thresholds, percents, color=colour, label=label)
    _draw_threshold(axes, calibration.card.threshold)
    axes.set(xlabel="threshold", ylabel="%", yscale="log", ylim=(_min_visible_percent(calibration), 100))
    axes.legend(loc="lower right")


def plot_det(axes: Axes, calibration: Calibration) -> None:
    far, frr = calibration.at(calibration.card.threshold)
    floor = _min_visible_percent(calibration)
    fars, frrs = _percents(calibration.far)[0], _percents(calibration.frr)[0]
    axes.plot(fars, frrs, color=GENUINE_COLOUR)
    label = f"at {calibration.card.threshold}"
    axes.plot(max(100 * far.value, floor), 100 * frr.value, "o", color=IMPOSTOR_COLOUR, label=label)
    axes.set(xlabel="strangers accepted (FAR), %", ylabel="same person refused (FRR), %", xscale="log", yscale="log")
    axes.set(xlim=(floor, 100), ylim=(max(0.1, frrs[frrs > 0].min()), 100))
    axes.legend()


def plot_gallery_size_risk(axes: Axes, calibration: Calibration) -> None:
    for (threshold, shares), colour in zip(calibration.gallery_size_risk.items(), THRESHOLD_COLOURS, strict=False):
        counts = np.array(list(shares))
        percent = np.array([100 * share if share else np.nan for share in shares.values()])
        counted = counts <= calibration.max_counted_size
        axes.plot(counts, percent, "--", color=colour, alpha=0.6)
        axes.plot(counts[counted], percent[counted], "o-", color=colour, label=f"at {threshold}")
    axes.set(xlabel="members enrolled", ylabel="strangers accepted as some member, %", xscale="log", yscale="log")
    axes.legend()


def plot_nearest_others(axes: Axes, risk: StrangerRisk) -> None:
    finite = np.isfinite(risk.nearest_distances)
    distances = risk.nearest_distances[finite]
    right_end = max(risk.card.cohort_cap, risk.threshold, float(distances.max(initial=0)))
    axes.set_axisbelow(True)
    bins = np.linspace(0, right_end, 80).tolist()
    axes.hist(distances, bins, weights=risk.weights[finite], color=IMPOSTOR_COLOUR)
    _draw_threshold(axes, risk.threshold)
    for (share, advice), style in zip(risk.recommendations.items(), ("--", "-."), strict=True):
        if advice.threshold is not None:
            label = f"{advice.threshold:.3f}, for {100 * share:g} % of strangers"
            axes.axvline(advice.threshold, linestyle=style, color=GENUINE_COLOUR, label=label)
    axes.set(xlabel="distance to the nearest other member", ylabel="members", xlim=(0, right_end))
    axes.legend(loc="upper left")


PLOTS = {"distances": plot_distances, "rates": plot_rates, "det": plot_det, "growth": plot_gallery_size_risk}
"""By file name."""


def _draw_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, linestyle=":", color="#4a7fd4", label=f"{threshold}")


def _percents(curve: list[RateEstimate]) -> Vector:
    """(3, thresholds): the rates, and the lower and upper ends of their intervals, in %."""
    return 100 * np.array([astuple(rate) for rate in curve]).T


def _min_visible_percent(calibration: Calibration) -> float:
    """One of all pairs of two people, in %."""
    return 100 / int((~calibration.pairs.genuine).sum())
