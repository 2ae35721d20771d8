"""The plots of calibrations, evaluations and stranger risks, as PNG. Needs matplotlib: pip install 'face128[plots]'.

Blue and orange differ for everybody, and every line has a style of its own. A rate of which nothing was counted is
drawn as what it may be at most: a caret that points down.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from face128.domain.descriptors import Vector
from face128.errors import ConfigurationError
from face128.jobs.wording import percent, rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.calibrate.bootstrap import RateEstimate
    from face128.jobs.calibrate.calibrate import Calibration
    from face128.jobs.calibrate.evaluate import Evaluation

T = TypeVar("T")
Theme = Literal["light", "dark"]
Size = Literal["wide", "narrow"]

INK, GROUND = {"light": "#222222", "dark": "#dddddd"}, {"light": "#ffffff", "dark": "#1b1d21"}
SERIES_COLOURS = {"light": ("#0061a8", "#c2540a", "#555555"), "dark": ("#56b4e9", "#f0a030", "#bbbbbb")}
"""Blue, orange, grey: at least three times as light or dark as the ground (WCAG 1.4.11)."""
LINE_STYLES, MARKERS = ("-", "--", "-."), ("o", "s", "D")
FIGURE_INCHES: dict[Size, tuple[float, float]] = {"wide": (6, 4.6), "narrow": (3.7, 4.4)}
"""Text has its size on a page whose plots are as wide: about 500 and 330 pixels."""
DPI = {"wide": 150, "narrow": 190}
MAX_LABEL_OF_TWO_COLUMNS = 26  # characters, side by side in a wide legend
BINS = 80


def draw(plot: Callable[[Axes, T], None], data: T, theme: Theme = "light", size: Size = "wide") -> bytes:
    """One of the plots below, as the bytes of a PNG. Raises ConfigurationError if matplotlib is missing."""
    png = io.BytesIO()
    with figure_of(plot, data, theme, size) as figure:
        figure.savefig(png, dpi=DPI[size])
    return png.getvalue()


@contextmanager
def figure_of(plot: Callable[[Axes, T], None], data: T, theme: Theme, size: Size) -> Iterator[Figure]:
    """The figure, in the style that it must be rendered in."""
    try:
        from cycler import cycler
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import FixedLocator, FuncFormatter
    except ImportError:
        raise ConfigurationError("Plots need matplotlib: pip install 'face128[plots]'.") from None
    text, ground = INK[theme], GROUND[theme]
    style: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), text)
    style |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), ground)
    style |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 11, "axes.grid": True}
    style |= {"grid.alpha": 0.25, "grid.color": text, "legend.frameon": False, "legend.handlelength": 3.2}
    style["axes.prop_cycle"] = cycler(color=SERIES_COLOURS[theme])
    with rc_context(style):
        figure = Figure(figsize=FIGURE_INCHES[size], layout="constrained")
        axes = figure.add_subplot()
        plot(axes, data)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log" and not isinstance(axis.get_major_locator(), FixedLocator):
                axis.set_major_formatter(FuncFormatter(_plain))
            axis.set_minor_formatter("")
        # Below the plot: it hides no line.
        if labels := axes.get_legend_handles_labels()[1]:
            is_short = max(map(len, labels)) <= MAX_LABEL_OF_TWO_COLUMNS
            figure.legend(loc="outside lower center", ncols=2 if size == "wide" and is_short else 1)
        yield figure


def plot_distances(axes: Axes, measured: Calibration | Evaluation) -> None:
    pairs = measured.pairs
    edges = np.linspace(0, float(pairs.distances.max()), BINS)
    for place, (genuine, label) in enumerate(((True, "two photos of one person"), (False, "photos of two people"))):
        heights, _ = np.histogram(pairs.distances[pairs.genuine == genuine], edges, density=True)
        axes.stairs(heights, edges, color=f"C{place}", fill=genuine, alpha=0.45 if genuine else 1, lw=2, label=label)
    _draw_threshold(axes, measured.card.threshold)
    axes.set(xlabel="distance between two photos", ylabel="how often", yticks=[], xlim=(0, edges[-1]))


def plot_rates(axes: Axes, calibration: Calibration) -> None:
    threshold = calibration.card.threshold
    floor = min(_one_pair_percent(calibration.impostor_pairs), _one_pair_percent(calibration.genuine_pairs)) / 2
    for place, (curve, label) in enumerate(((calibration.frr, "one person refused"), (calibration.far, _TWO_AS_ONE))):
        values, low, high = _percents(curve)
        axes.fill_between(calibration.thresholds, np.maximum(low, floor), high, color=f"C{place}", alpha=0.2, lw=0)
        shown = np.where(values > 0, values, np.nan)
        axes.plot(calibration.thresholds, shown, LINE_STYLES[place], color=f"C{place}", lw=2, label=label)
        here = calibration.at(threshold)[1 - place]
        _draw_point(axes, threshold, here, place, f"at {threshold:g}: {rate(here.value, here)}")
    _draw_threshold(axes, threshold)
    axes.set(xlabel="threshold", ylabel="% of pairs")
    axes.set(yscale="log", ylim=(floor, 130), xlim=(calibration.thresholds[0], calibration.thresholds[-1]))


def plot_det(axes: Axes, calibrations: Sequence[Calibration]) -> None:
    """FAR against FRR, one curve for each model. What was never counted lies in a strip of its own, "none"."""
    floors = [min(_one_pair_percent(getattr(one, kind)) / 2 for one in calibrations) for kind in _PAIR_KINDS]
    for place, one in enumerate(calibrations[: len(LINE_STYLES)]):
        threshold = one.card.threshold
        far, frr = (
            np.maximum(_percents(curve)[0], floor) for curve, floor in zip((one.far, one.frr), floors, strict=True)
        )
        axes.plot(far, frr, LINE_STYLES[place], color=f"C{place}", lw=2, label=one.card.name)
        (x, x_bar), (y, y_bar) = map(_point_and_bar, one.at(threshold), floors)
        style: Any = {"fmt": MARKERS[place], "color": f"C{place}", "ms": 8, "capsize": 4}
        axes.errorbar(x, y, xerr=x_bar, yerr=y_bar, label=f"its threshold, {threshold:g}", **style)
    axes.set(xlabel=f"{_TWO_AS_ONE}, %", ylabel="one person refused, %")
    axes.set(xscale="log", yscale="log", xlim=(floors[0] / 1.5, 100), ylim=(floors[1] / 1.5, 130))
    for axis, floor in ((axes.xaxis, floors[0]), (axes.yaxis, floors[1])):
        # Down from 100 %, so that the last decade before "none" may lack a tick.
        decades = [10.0**power for power in range(2, -9, -1) if 10.0**power > 4 * floor]
        ticks = decades[:: 1 + len(decades) // 5]
        axis.set_ticks([floor, *ticks], ["none", *map(_plain, ticks)])


def plot_gallery_size_risk(axes: Axes, calibration: Calibration) -> None:
    risks = calibration.gallery_size_risk
    shown = [100 * risk.value for by_size in risks.values() for risk in by_size.values() if risk.value]
    ends = [100 * risk.high for by_size in risks.values() for risk in by_size.values()]
    floor = min([*shown, *ends]) / 2
    for place, (threshold, by_size) in enumerate(risks.items()):
        sizes, colour = np.array(list(by_size)), f"C{place}"
        values, low, high = _percents(list(by_size.values()))
        axes.fill_between(sizes, np.maximum(low, floor), high, color=colour, alpha=0.15, lw=0)
        known, counted = values > 0, sizes <= calibration.max_counted_size
        line = np.where(known, values, np.nan)
        style, marker = LINE_STYLES[place % len(LINE_STYLES)], MARKERS[place % len(MARKERS)]
        if known.any():
            label = f"at {threshold:g}"
            axes.plot(sizes, line, style, color=colour, lw=2, marker=marker, mfc="none", ms=7, label=label)
            axes.plot(sizes[known & counted], values[known & counted], marker, color=colour, ms=7)
        if not known.all():
            label = f"at {threshold:g}: at most"
            caret_size = 13 - 3 * place  # two in one place are both seen
            axes.plot(sizes[~known], high[~known], "v", color=colour, mfc="none", ms=caret_size, label=label)
    axes.set(xlabel="members enrolled", ylabel="% of strangers let in")
    axes.set(xscale="log", yscale="log", ylim=(floor, 130))


def plot_nearest_others(axes: Axes, risk: StrangerRisk) -> None:
    finite = np.isfinite(risk.nearest_distances)
    distances = risk.nearest_distances[finite]
    right_end = max(risk.card.cohort_cap, risk.threshold, float(distances.max(initial=0)))
    axes.set_axisbelow(True)
    edges = np.linspace(0, right_end, BINS)
    heights, _ = np.histogram(distances, edges, weights=risk.weights[finite])
    axes.stairs(heights, edges, color="C0", fill=True, label="members, by their nearest other")
    _draw_threshold(axes, risk.threshold)
    for (share, advice), style in zip(risk.recommendations.items(), ("--", "-."), strict=True):
        if advice.threshold is not None:
            label = f"{advice.threshold:.3f}, for {percent(share)} of strangers"
            axes.axvline(advice.threshold, linestyle=style, lw=2, color="C1", label=label)
    axes.set(xlabel="distance to the nearest other member", ylabel="members", xlim=(0, right_end))


PLOTS: Mapping[str, Callable[[Axes, Calibration], None]] = {
    "distances": plot_distances,
    "rates": plot_rates,
    "growth": plot_gallery_size_risk,
}
"""Of one model, by file name."""

_TWO_AS_ONE = "two people taken for one"
_PAIR_KINDS = ("impostor_pairs", "genuine_pairs")


def calibration_plots(calibrations: Sequence[Calibration]) -> dict[str, bytes]:
    """The files, by name: those of the first model, and the comparison of all."""
    if not calibrations:
        return {}
    plots = {f"{name}.png": draw(plot, calibrations[0]) for name, plot in PLOTS.items()}
    return plots | {"det.png": draw(plot_det, calibrations)}


def _draw_threshold(axes: Axes, threshold: float) -> None:
    from matplotlib import rcParams

    axes.axvline(threshold, linestyle=":", lw=2, color=rcParams["text.color"], label=f"threshold {threshold:g}")


def _draw_point(axes: Axes, x: float, estimate: RateEstimate, place: int, label: str) -> None:
    """The rate at one threshold; of a rate of zero, a caret where it is at most."""
    value, marker = (estimate.value, MARKERS[place]) if estimate.value else (estimate.high, "v")
    fill = None if estimate.value else "none"
    axes.plot([x], [100 * value], linestyle="", marker=marker, color=f"C{place}", mfc=fill, ms=9, label=label)


def _point_and_bar(estimate: RateEstimate, floor: float) -> tuple[float, list[list[float]]]:
    """Where a rate is drawn, in %, and how far its interval reaches to both sides; nothing lies below the floor."""
    value, low, high = (max(100 * each, floor) for each in astuple(estimate))
    return value, [[value - low], [high - value]]


def _percents(curve: Sequence[RateEstimate]) -> Vector:
    """(3, thresholds): the rates, and the lower and upper ends of their intervals, in %."""
    return 100 * np.array([astuple(one) for one in curve]).T


def _one_pair_percent(pairs: int) -> float:
    """One of so many pairs, in %."""
    return 100 / pairs


def _plain(value: float, _: object = None) -> str:
    """0.01 on a logarithmic axis, not a power of ten."""
    return f"{value:,.0f}" if value >= 1 else np.format_float_positional(value, trim="-")
