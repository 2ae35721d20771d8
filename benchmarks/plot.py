"""Plots of latency against members, megapixels and faces in the gallery."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Curve

TITLES = {
    "members": "POST /match",
    "megapixels": "POST /encode-image",
    "faces in the gallery": "A search of the gallery",
}
STYLES = (  # part of a contestant's name, colour, line; the first that fits
    ("naive", "#c1440e", "-"),
    ("bare", "#8a8a8a", ":"),
    ("new list, as base64", "#4aa3df", "--"),
    ("new list", "#0b6e4f", "--"),
    ("base64", "#4aa3df", "-"),
    ("face128", "#0b6e4f", "-"),
)

LABEL_HEIGHT_PT = 12


def draw(curves: Mapping[str, Curve], file: Path) -> None:
    """Draw one panel for each unit of work. Raises ImportError without matplotlib (the extra "plots")."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    figure, panels = pyplot.subplots(1, len(curves), figsize=(6.5 * len(curves), 4.8), squeeze=False)
    for panel, (count, curve) in zip(panels[0], curves.items(), strict=True):
        for name, points in curve.items():
            colour, line = next((colour, line) for part, colour, line in STYLES if part in name)
            x, y = zip(*points, strict=True)
            panel.loglog(x, y, label=name, color=colour, linestyle=line, marker="o", markersize=4)
        panel.set(title=TITLES[count], xlabel=count, ylabel="milliseconds")
        panel.set_xticks(x, [f"{value:,.10g}" for value in x])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        panel.set_xlim(right=x[-1] * (x[-1] / x[0]) ** 0.2)  # space for the labels
        panel.grid(which="major", alpha=0.3)
        panel.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    for panel in panels[0]:
        _label_last_points(panel)
    figure.savefig(file, dpi=120)


def _label_last_points(panel: Any) -> None:
    """Write each line's last value beside it, from the lowest up, without overlaps."""
    points = 72 / panel.figure.dpi
    ends = sorted((*line.get_xydata()[-1], line.get_color()) for line in panel.lines)
    above = -math.inf
    for x, y, colour in ends:
        height = panel.transData.transform((x, y))[1] * points
        above = max(height, above + LABEL_HEIGHT_PT)
        text, place = f"{y:,.0f} ms" if y >= 10 else f"{y:.1f} ms", (6, above - height)
        panel.annotate(text, (x, y), place, textcoords="offset points", va="center", color=colour)
