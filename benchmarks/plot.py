"""Latency against members and against megapixels, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Curve

TITLES = {
    "members": "POST /match",
    "megapixels": "POST /encode-image",
    "faces in the gallery": "A search of the gallery",
}
STYLES = (  # what a contestant's name has in it, colour, line; the first that fits
    ("naive", "#c1440e", "-"),
    ("bare", "#8a8a8a", ":"),
    ("new list, as base64", "#4aa3df", "--"),
    ("new list", "#0b6e4f", "--"),
    ("base64", "#4aa3df", "-"),
    ("face128", "#0b6e4f", "-"),
)


def draw(curves: Mapping[str, Curve], file: Path) -> None:
    """One panel for what each curve counts. Raises ImportError without matplotlib (the extra "plots")."""
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
            text = f"{y[-1]:,.0f} ms" if y[-1] >= 10 else f"{y[-1]:.1f} ms"
            panel.annotate(text, (x[-1], y[-1]), (6, 0), textcoords="offset points", va="center", color=colour)
        panel.set(title=TITLES[count], xlabel=count, ylabel="milliseconds")
        panel.set_xticks(x, [f"{value:,.10g}" for value in x])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        panel.set_xlim(right=x[-1] * (x[-1] / x[0]) ** 0.2)  # room for the labels of the last points
        panel.grid(which="major", alpha=0.3)
        panel.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
