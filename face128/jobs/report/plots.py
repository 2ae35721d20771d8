"""The plots of a calibration and of a stranger risk, as PNG. Needs matplotlib: pip install 'face128[plots]'."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from face128.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.calibrate.bootstrap import RateEstimate
    from face128.jobs.calibrate.calibrate import Calibration

T = TypeVar("T")
Theme = Literal["light", "dark"]
GENUINE_COLOUR, IMPOSTOR_COLOUR = "#2a9d5c", "#d9534f"  # green and red, equally visible on white and on black
TEXT_COLOURS = {"light": "#222222", "dark": "#dddddd"}
THRESHOLD_COLOURS = ("#4a7fd4", "#b07aa1", IMPOSTOR_COLOUR, GENUINE_COLOUR)
BACKGROUND_COLOURS = {"light": "#ffffff", "dark": "#1b1d21"}


def draw(plot: Callable[[Axes, T], None], data: T, theme: Theme = "light") -> bytes:
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
    with rc_context(style | {"grid.alpha": 0.25, "grid.color": text}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        plot(figure.add_subplot(), data)
        png = io.BytesIO()
        figure.savefig(png, dpi=130)
    return png.getvalue()


def plot_distances(axes: Axes, calibration: Calibration) -> None:
    """The histograms of both kinds of pairs, each a density, and the threshold."""
    pairs = calibration.pairs
    edges = np.linspace(0, float(pairs.distances.max()), 80)
    for chosen, colour, label in (
        (pairs.genuine, GENUINE_COLOUR, "one person"),
        (~pairs.genuine, IMPOSTOR_COLOUR, "two people"),
    ):
        axes.hist(pairs.distances[chosen], edges.tolist(), density=True, color=colour, alpha=0.6, label=label)
    _draw_threshold(axes, calibration.card.threshold)
    axes.set(xlabel="distance between two photos", ylabel="density", yticks=[])
    axes.legend()


def plot_rates(axes: Axes, calibration: Calibration) -> None:
    """FAR and FRR over the threshold, with their 95 % intervals."""
    for curve, colour, label in (
        (calibration.far, IMPOSTOR_COLOUR, "strangers accepted (FAR)"),
        (calibration.frr, GENUINE_COLOUR, "same person refused (FRR)"),
    ):
        axes.fill_between(
            calibration.thresholds, _percent(curve, "low"), _percent(curve, "high"), color=colour, alpha=0.3
        )
        axes.plot(calibration.thresholds, _percent(curve, "value"), color=colour, label=label)
    _draw_threshold(axes, calibration.card.threshold)
    axes.set(xlabel="threshold", ylabel="%", yscale="log", ylim=(_min_visible_percent(calibration), 100))
    _format_without_powers(axes.yaxis)
    axes.legend(loc="lower right")


def plot_det(axes: Axes, calibration: Calibration) -> None:
    """DET curve: FRR over FAR, both on a logarithmic scale; lower left is better."""
    far, frr = calibration.at(calibration.card.threshold)
    floor = _min_visible_percent(calibration)
    axes.plot(_percent(calibration.far, "value"), _percent(calibration.frr, "value"), color=GENUINE_COLOUR)
    label = f"at {calibration.card.threshold}"
    axes.plot(max(100 * far.value, floor), 100 * frr.value, "o", color=IMPOSTOR_COLOUR, label=label)
    axes.set(xlabel="strangers accepted (FAR), %", ylabel="same person refused (FRR), %", xscale="log", yscale="log")
    axes.set(xlim=(floor, 100), ylim=(max(0.1, min(p for p in _percent(calibration.frr, "value") if p > 0)), 100))
    _format_without_powers(axes.xaxis, axes.yaxis)
    axes.legend()


def plot_gallery_size_risk(axes: Axes, calibration: Calibration) -> None:
    """The share of strangers accepted as some member, over the number enrolled."""
    for (threshold, shares), colour in zip(calibration.gallery_size_risk.items(), THRESHOLD_COLOURS, strict=False):
        counts = np.array(list(shares))
        percent = np.array([100 * share if share else np.nan for share in shares.values()])
        counted = counts <= calibration.max_counted_size
        axes.plot(counts, percent, "--", color=colour, alpha=0.6)
        axes.plot(counts[counted], percent[counted], "o-", color=colour, label=f"at {threshold}")
    axes.set(xlabel="members enrolled", ylabel="strangers accepted as some member, %", xscale="log", yscale="log")
    _format_without_powers(axes.xaxis, axes.yaxis)
    axes.legend()


def plot_nearest_others(axes: Axes, risk: StrangerRisk) -> None:
    """The distances of the members to their nearest others, the threshold, and the recommended thresholds."""
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


def _format_without_powers(*axes: Any) -> None:
    """Label a logarithmic axis with 0.01 and not with a power of ten."""
    for axis in axes:
        axis.set_major_formatter(lambda value, _: f"{value:,g}")


def _draw_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, linestyle=":", color="#4a7fd4", label=f"{threshold}")


def _percent(curve: list[RateEstimate], field: str) -> list[float]:
    return [100 * getattr(rate, field) for rate in curve]


def _min_visible_percent(calibration: Calibration) -> float:
    """One of all pairs of two people, in %."""
    return 100 / int((~calibration.pairs.genuine).sum())
