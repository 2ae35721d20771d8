"""A self-contained HTML page of a calibration and the stranger risks; light or dark, for large and small screens."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from face128.errors import Face128Error
from face128.jobs.calibrate.calibrate import GALLERY_SIZES
from face128.jobs.report.plots import PLOTS, draw, plot_nearest_others
from face128.photos.photo import Limits, open_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from face128.jobs.audit.stranger_risk import Recommendation, StrangerRisk
    from face128.jobs.calibrate.bootstrap import RateEstimate
    from face128.jobs.calibrate.calibrate import Calibration, WorstPair
    from face128.matching.stranger_estimates import Estimate

T = TypeVar("T")

THUMBNAIL_PIXELS = 160
CAPTIONS = {
    "distances": "Distances between photos of one person (green) and of two (red); left of the line is accepted.",
    "rates": "FAR and FRR by threshold. The bands hold the true rate in 95 of 100 such samples of people.",
    "det": "The same against each other: a curve further to the lower left is a better model for these people.",
    "growth": "Each further member is one more face to resemble. Dashed: more members than there are people to count.",
}
NEAREST_CAPTION = (
    "The distance from each member to the nearest other: so near a stranger comes. Left of the dotted line is accepted."
)
NOT_ENOUGH = "not enough members to say"


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
        wanted="".join(_wanted_far_row(calibration, far) for far in calibration.threshold_for_far),
        at="".join(f"<th>at {threshold}</th>" for threshold in calibration.gallery_size_risk),
        growth="".join(_gallery_size_row(calibration, size) for size in GALLERY_SIZES),
        plots="".join(_figure(PLOTS[name], calibration, CAPTIONS[name]) for name in PLOTS),
        most_like="".join(_pair(pair, limits) for pair in calibration.most_like),
        least_like="".join(_pair(pair, limits) for pair in calibration.least_like),
    )


def _stranger_risk(risk: StrangerRisk) -> str:
    estimate = risk.expected_fpir[risk.threshold]
    hubs = "<p>No member is the nearest to several others.</p>"
    if risk.hubs:
        rows = "".join(
            f"<tr><td>{escape(str(hub.member))}</td><td>{hub.nearest_to:g}</td><td>{hub.within:g}</td></tr>"
            for hub in risk.hubs
        )
        header = f"<tr><th>member</th><th>nearest to</th><th>of them within {risk.threshold}</th></tr>"
        hubs = f"<table>{header}{rows}</table>"
    return _fill(
        "stranger_risk.html",
        model=escape(risk.card.name),
        members=f"{risk.member_count:,}",
        threshold=risk.threshold,
        fpir=_rate(estimate.share, estimate),
        plot=_figure(plot_nearest_others, risk, NEAREST_CAPTION),
        expected="".join(
            f"<tr><td>{threshold}</td><td>{_rate(estimate.share, estimate)}</td></tr>"
            for threshold, estimate in risk.expected_fpir.items()
        ),
        recommendations="".join(
            f"<tr><td>{percent(share)}</td><td>{format_threshold(advice)}</td><td>{format_alpha(advice)}</td></tr>"
            for share, advice in risk.recommendations.items()
        ),
        hubs=hubs,
    )


def format_threshold(advice: Recommendation) -> str:
    """The recommended threshold, or how many members it takes."""
    if advice.threshold is None:
        return f"{NOT_ENOUGH}: it takes {advice.threshold_needs:,}"
    # Rounded down: it is the greatest threshold that keeps the wanted share.
    return f"{math.floor(1e4 * advice.threshold) / 1e4:.4f}"


def format_alpha(advice: Recommendation) -> str:
    """The recommended alpha, or how many members it takes."""
    if advice.alpha is None or advice.at_most is None:
        return f"{NOT_ENOUGH}: it takes {advice.alpha_needs:,}"
    return f"{advice.alpha:g} ({percent(advice.at_most)} at most)"


def _fill(name: str, **values: object) -> str:
    return Template(files("face128.jobs.report").joinpath(name).read_text(encoding="utf-8")).substitute(values)


def percent(share: float) -> str:
    """A share as 12 %, 1.2 % or 0.012 %; 0 % only for exactly 0."""
    return f"{100 * share:.0f} %" if share in (0, 1) or share >= 0.1 else f"{100 * share:.2g} %"


def _rate(value: float, interval: RateEstimate | Estimate) -> str:
    return f"<strong>{percent(value)}</strong> <small>({percent(interval.low)} to {percent(interval.high)})</small>"


def _wanted_far_row(calibration: Calibration, far: float) -> str:
    threshold = calibration.threshold_for_far[far]
    if threshold is None:
        return f"<tr><td>{percent(far)}</td><td colspan=2>not enough people to say</td></tr>"
    frr = calibration.at(threshold)[1]
    return f"<tr><td>{percent(far)}</td><td>{threshold:.3f}</td><td>{_rate(frr.value, frr)}</td></tr>"


def format_gallery_size_risk(calibration: Calibration, threshold: float, size: int) -> str:
    """The share of strangers accepted as one of ``size`` members; "about" if it is extrapolated."""
    share = calibration.gallery_size_risk[threshold][size]
    if size > calibration.max_counted_size:
        return f"about {percent(share)}"
    return percent(share) if share else f"none of {calibration.pairs.person_count:,}"


def _gallery_size_row(calibration: Calibration, size: int) -> str:
    cells = (f"<td>{format_gallery_size_risk(calibration, t, size)}</td>" for t in calibration.gallery_size_risk)
    return f"<tr><td>{size:,}</td>{''.join(cells)}</tr>"


def _figure(plot: Callable[[Axes, T], None], data: T, caption: str) -> str:
    light, dark = (_data_url(draw(plot, data, theme), "png") for theme in ("light", "dark"))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}"><img src="{light}" '
        f'alt="{escape(caption)}"></picture><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _pair(pair: WorstPair, limits: Limits) -> str:
    sides = "".join(
        f"<div>{_thumbnail(photo, limits)}<span>{escape(f'{photo.parent.name}/{photo.name}')}</span></div>"
        for photo in (pair.first, pair.second)
    )
    return f"<li><b>{pair.distance:.3f}</b>{sides}</li>"


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
