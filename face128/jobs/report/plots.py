"""The curves of a calibration and of a crowd, as PNG. Needs matplotlib: pip install 'face128[plots]'."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from face128.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from face128.jobs.audit.stranger_risk import Crowd
    from face128.jobs.calibrate.bootstrap import Rate
    from face128.jobs.calibrate.calibrate import Calibration

T = TypeVar("T")
Look = Literal["light", "dark"]
SAME, OTHERS = "#2a9d5c", "#d9534f"  # green and red of equal weight on white and on black
INK = {"light": "#222222", "dark": "#dddddd"}
THRESHOLD_COLOURS = ("#4a7fd4", "#b07aa1", OTHERS, SAME)
GROUND = {"light": "#ffffff", "dark": "#1b1d21"}


def draw(plot: Callable[[Axes, T], None], subject: T, look: Look = "light") -> bytes:
    """One of PLOTS of a calibration, or nearest_others of a crowd, as the bytes of a PNG.

    Raises ConfigurationError where matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError("Plots need matplotlib: pip install 'face128[plots]'.") from None
    ink, ground = INK[look], GROUND[look]
    style: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink)
    style |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), ground)
    style |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 11, "axes.grid": True}
    with rc_context(style | {"grid.alpha": 0.25, "grid.color": ink}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        plot(figure.add_subplot(), subject)
        png = io.BytesIO()
        figure.savefig(png, dpi=130)
    return png.getvalue()


def distances(axes: Axes, calibration: Calibration) -> None:
    """The two histograms, each a density, and the threshold between them."""
    sample = calibration.sample
    edges = np.linspace(0, float(sample.apart.max()), 80)
    for chosen, colour, label in ((sample.same, SAME, "one person"), (~sample.same, OTHERS, "two people")):
        axes.hist(sample.apart[chosen], edges.tolist(), density=True, color=colour, alpha=0.6, label=label)
    _threshold(axes, calibration.card.threshold)
    axes.set(xlabel="distance between two photos", ylabel="density", yticks=[])
    axes.legend()


def rates(axes: Axes, calibration: Calibration) -> None:
    """FAR and FRR over the threshold, with their 95 % intervals."""
    for curve, colour, label in (
        (calibration.far, OTHERS, "strangers accepted (FAR)"),
        (calibration.frr, SAME, "same person refused (FRR)"),
    ):
        axes.fill_between(
            calibration.thresholds, _percent(curve, "low"), _percent(curve, "high"), color=colour, alpha=0.3
        )
        axes.plot(calibration.thresholds, _percent(curve, "value"), color=colour, label=label)
    _threshold(axes, calibration.card.threshold)
    axes.set(xlabel="threshold", ylabel="%", yscale="log", ylim=(_floor(calibration), 100))
    _plain(axes.yaxis)
    axes.legend(loc="lower right")


def tradeoff(axes: Axes, calibration: Calibration) -> None:
    """DET: what is refused for what is accepted, both on a logarithmic scale; lower left is better."""
    far, frr = calibration.at(calibration.card.threshold)
    floor = _floor(calibration)
    axes.plot(_percent(calibration.far, "value"), _percent(calibration.frr, "value"), color=SAME)
    axes.plot(max(100 * far.value, floor), 100 * frr.value, "o", color=OTHERS, label=f"at {calibration.card.threshold}")
    axes.set(xlabel="strangers accepted (FAR), %", ylabel="same person refused (FRR), %", xscale="log", yscale="log")
    axes.set(xlim=(floor, 100), ylim=(max(0.1, min(p for p in _percent(calibration.frr, "value") if p > 0)), 100))
    _plain(axes.xaxis, axes.yaxis)
    axes.legend()


def growth(axes: Axes, calibration: Calibration) -> None:
    """The share of strangers accepted as somebody, over the number enrolled."""
    for (threshold, shares), colour in zip(calibration.growth.items(), THRESHOLD_COLOURS, strict=False):
        counts = np.array(list(shares))
        percent = np.array([100 * share if share else np.nan for share in shares.values()])
        counted = counts <= calibration.measured_growth
        axes.plot(counts, percent, "--", color=colour, alpha=0.6)
        axes.plot(counts[counted], percent[counted], "o-", color=colour, label=f"at {threshold}")
    axes.set(xlabel="members enrolled", ylabel="strangers let in as somebody, %", xscale="log", yscale="log")
    _plain(axes.xaxis, axes.yaxis)
    axes.legend()


def nearest_others(axes: Axes, crowd: Crowd) -> None:
    """How far each member's nearest other is, the threshold, and those that the members propose."""
    there = np.isfinite(crowd.nearest)
    most = max(crowd.card.cap, crowd.threshold, float(crowd.nearest[there].max(initial=0)))
    axes.set_axisbelow(True)
    axes.hist(crowd.nearest[there], np.linspace(0, most, 80).tolist(), weights=crowd.weights[there], color=OTHERS)
    _threshold(axes, crowd.threshold)
    for (share, promise), style in zip(crowd.promises.items(), ("--", "-."), strict=True):
        if promise.threshold is not None:
            label = f"{promise.threshold:.3f}, for {100 * share:g} % of strangers"
            axes.axvline(promise.threshold, linestyle=style, color=SAME, label=label)
    axes.set(xlabel="distance to the nearest other member", ylabel="members", xlim=(0, most))
    axes.legend(loc="upper left")


PLOTS = {"distances": distances, "rates": rates, "det": tradeoff, "growth": growth}
"""By the name of the file."""


def _plain(*axes: Any) -> None:
    """0.01 on a logarithmic axis, and not a power of ten."""
    for axis in axes:
        axis.set_major_formatter(lambda value, _: f"{value:,g}")


def _threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, linestyle=":", color="#4a7fd4", label=f"{threshold}")


def _percent(curve: list[Rate], field: str) -> list[float]:
    return [100 * getattr(rate, field) for rate in curve]


def _floor(calibration: Calibration) -> float:
    """One pair of all, in %: the least that can be seen."""
    return 100 / int((~calibration.sample.same).sum())
