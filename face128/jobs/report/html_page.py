"""A self-contained HTML page of a calibration and the stranger risks; light or dark, for large and small screens."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from face128.errors import Face128Error
from face128.jobs.audit.stranger_risk import StrangerRisk
from face128.jobs.calibrate.bootstrap import RateEstimate
from face128.jobs.calibrate.calibrate import Calibration, short_name
from face128.jobs.report import tables
from face128.jobs.report.plots import PLOTS, draw, plot_nearest_others
from face128.matching.stranger_estimates import Estimate
from face128.photos.photo import Limits, open_photo

THUMBNAIL_PIXELS = 160
CAPTIONS = {
    "distances": "Distances between photos of one person (green) and of two (red); left of the line is accepted.",
    "rates": "FAR and FRR by threshold. The bands hold the true rate in 95 of 100 such samples of people.",
    "det": "The same against each other: a curve further to the lower left is a better model for these people.",
    "growth": "Each further member is one more face to resemble. Dashed: more members than there are people to count.",
    "crowd": "How near each member's nearest other is: so near a stranger comes. Left of the dotted line is accepted.",
}


def render_page(calibration: Calibration | None, risks: Sequence[StrangerRisk], limits: Limits) -> str:
    """The page, including the plots and thumbnails of the worst pairs. Raises as plots.draw does."""
    sections = [] if calibration is None else [_calibration(calibration, limits)]
    return _fill("page.html", body="".join([*sections, *map(_stranger_risk, risks)]))


def _calibration(calibration: Calibration, limits: Limits) -> str:
    card, pairs = calibration.card, calibration.pairs
    far, frr = calibration.at(card.threshold)
    return _fill(
        "calibration.html",
        model=escape(f"{card.name}, {card.pipeline}"),
        people=f"{pairs.person_count:,}",
        photos=f"{len(pairs.photos):,}",
        failed=f"{len(calibration.failed):,}",
        genuine=f"{int(pairs.genuine.sum()):,}",
        impostor=f"{int((~pairs.genuine).sum()):,}",
        threshold=card.threshold,
        far=_rate(far.value, far),
        frr=_rate(frr.value, frr),
        wanted=_table(tables.wanted_far_table(calibration)),
        growth=_table(tables.gallery_size_table(calibration)),
        plots="".join(_figure(plot, calibration, CAPTIONS[name]) for name, plot in PLOTS.items()),
        most_like="".join(_pair(*pair, limits) for pair in calibration.most_like),
        least_like="".join(_pair(*pair, limits) for pair in calibration.least_like),
    )


def _stranger_risk(risk: StrangerRisk) -> str:
    estimate = risk.expected_fpir[risk.threshold]
    return _fill(
        "stranger_risk.html",
        model=escape(risk.card.name),
        members=f"{risk.member_count:,}",
        threshold=risk.threshold,
        fpir=_rate(estimate.share, estimate),
        plot=_figure(plot_nearest_others, risk, CAPTIONS["crowd"]),
        expected=_table(tables.fpir_table(risk)),
        recommendations=_table(tables.recommendation_table(risk)),
        hubs=_table(tables.hub_table(risk)) if risk.hubs else "<p>No member is the nearest to several others.</p>",
    )


def _fill(name: str, **values: object) -> str:
    return Template(files("face128.jobs.report").joinpath(name).read_text(encoding="utf-8")).substitute(values)


def _rate(value: float, interval: RateEstimate | Estimate) -> str:
    return f"<strong>{tables.percent(value)}</strong> <small>{tables.format_interval(interval)}</small>"


def _table(table: tables.Table) -> str:
    headings, *rows = (map(escape, row) for row in table)
    lines = ["<th>" + "<th>".join(headings), *("<td>" + "<td>".join(row) for row in rows)]
    return f"<table><tr>{'<tr>'.join(lines)}</table>"


def _figure(plot: Callable[..., None], data: Any, caption: str) -> str:
    light, dark = (_data_url(draw(plot, data, theme), "png") for theme in ("light", "dark"))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}"><img src="{light}" '
        f'alt="{escape(caption)}"></picture><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _pair(first: Path, second: Path, distance: float, limits: Limits) -> str:
    sides = "".join(
        f"<div>{_thumbnail(photo, limits)}<span>{escape(short_name(photo))}</span></div>" for photo in (first, second)
    )
    return f"<li><b>{distance:.3f}</b>{sides}</li>"


def _thumbnail(photo: Path, limits: Limits) -> str:
    try:
        image = Image.fromarray(open_photo(photo.read_bytes(), limits).rgb())
    except (OSError, Face128Error):
        return ""  # removed since it was described; the page still names it
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return f'<img src="{_data_url(jpeg.getvalue(), "jpeg")}" alt="">'


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
