"""Latency against members and against megapixels, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Curve

TITLES = {"members": "POST /match", "megapixels": "POST /encode-image"}
COLOURS = ("#0b6e4f", "#4aa3df", "#c1440e", "#8a8a8a")


def draw(curves: Mapping[str, Curve], file: Path) -> None:
    """One panel for what each curve counts. Raises ImportError without matplotlib (the extra "plots")."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(curves), figsize=(6 * len(curves), 4.5), squeeze=False)
    for panel, (count, curve) in zip(panels[0], curves.items(), strict=True):
        for name, points in curve.items():
            colour = COLOURS[2] if name.startswith("naive") else COLOURS[3] if "bare" in name else None
            colour = colour or COLOURS["base64" in name]
            x, y = zip(*points, strict=True)
            panel.loglog(x, y, "o-", label=name, color=colour, linestyle=":" if "bare" in name else "-", markersize=4)
            panel.annotate(f"{y[-1]:.3g} ms", (x[-1], y[-1]), xytext=(5, 4), textcoords="offset points", color=colour)
        panel.set(title=TITLES[count], xlabel=count, ylabel="milliseconds")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        panel.margins(x=0.18)
        panel.grid(which="major", alpha=0.3)
        panel.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=130)
