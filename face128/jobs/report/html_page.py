"""One self-contained HTML page of a calibration and a crowd, for a browser in light or dark and for a telephone."""

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
from face128.jobs.calibrate.calibrate import ENROLLED
from face128.jobs.report.plots import PLOTS, draw, nearest_others
from face128.photos.photo import Limits, open_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from face128.jobs.audit.stranger_risk import Crowd, Promise
    from face128.jobs.calibrate.bootstrap import Rate
    from face128.jobs.calibrate.calibrate import Calibration, WorstPair
    from face128.matching.stranger_estimates import Estimate

T = TypeVar("T")

THUMBNAIL = 160  # pixels
CAPTIONS = {
    "distances": "Distances between photos of one person (green) and of two (red); left of the line is accepted.",
    "rates": "What a threshold costs. The bands hold the true rate in 95 of 100 such samples of people.",
    "det": "The same against each other: a curve further to the lower left is a better model for these people.",
    "growth": "Every further member is one more face to resemble. Dashed: more members than there are people to count.",
}
CROWD = "How far each member's nearest other member is: so near a stranger comes. Left of the dotted line he is let in."
NOT_ENOUGH = "not enough members to say"


def write_page(calibration: Calibration | None, crowds: Sequence[Crowd], limits: Limits) -> str:
    """The page, with the plots and small pictures of the pairs to look at inside. Raises as plots.draw does."""
    measured = [] if calibration is None else [_calibration(calibration, limits)]
    return _filled("page.html", body="".join([*measured, *map(_crowd, crowds)]))


def _calibration(calibration: Calibration, limits: Limits) -> str:
    card, sample = calibration.card, calibration.sample
    far, frr = calibration.at(card.threshold)
    return _filled(
        "calibration.html",
        model=escape(f"{card.name}, {card.pipeline}"),
        people=f"{sample.person_count:,}",
        photos=f"{len(sample.photos):,}",
        failed=f"{len(calibration.failed):,}",
        genuine=f"{int(sample.same.sum()):,}",
        impostor=f"{int((~sample.same).sum()):,}",
        threshold=card.threshold,
        far=_rate(far.value, far),
        frr=_rate(frr.value, frr),
        wanted="".join(_wanted(calibration, wanted) for wanted in calibration.wanted),
        at="".join(f"<th>at {threshold}</th>" for threshold in calibration.growth),
        growth="".join(_growth(calibration, enrolled) for enrolled in ENROLLED),
        plots="".join(_figure(PLOTS[name], calibration, CAPTIONS[name]) for name in PLOTS),
        most_like="".join(_pair(pair, limits) for pair in calibration.most_like),
        least_like="".join(_pair(pair, limits) for pair in calibration.least_like),
    )


def _crowd(crowd: Crowd) -> str:
    at = crowd.expected[crowd.threshold]
    doorways = "<p>Nobody attracts strangers: no member is nearest to several others.</p>"
    if crowd.doorways:
        rows = "".join(
            f"<tr><td>{escape(str(one.member))}</td><td>{one.nearest_to:g}</td><td>{one.within:g}</td></tr>"
            for one in crowd.doorways
        )
        doorways = (
            f"<table><tr><th>member</th><th>nearest to</th><th>of them within {crowd.threshold}</th></tr>{rows}</table>"
        )
    return _filled(
        "crowd.html",
        model=escape(crowd.card.name),
        members=f"{crowd.members:,}",
        threshold=crowd.threshold,
        fpir=_rate(at.share, at),
        plot=_figure(nearest_others, crowd, CROWD),
        expected="".join(
            f"<tr><td>{threshold}</td><td>{_rate(found.share, found)}</td></tr>"
            for threshold, found in crowd.expected.items()
        ),
        promises="".join(
            f"<tr><td>{percent(share)}</td><td>{to_set(promise)}</td><td>{alpha_to_set(promise)}</td></tr>"
            for share, promise in crowd.promises.items()
        ),
        doorways=doorways,
    )


def to_set(promise: Promise) -> str:
    """The threshold that keeps it, in words."""
    if promise.threshold is None:
        return f"{NOT_ENOUGH}: it takes {promise.threshold_needs:,}"
    # Down, never up: it is the greatest that keeps the promise.
    return f"{math.floor(1e4 * promise.threshold) / 1e4:.4f}"


def alpha_to_set(promise: Promise) -> str:
    """The alpha that keeps it, in words."""
    if promise.alpha is None or promise.at_most is None:
        return f"{NOT_ENOUGH}: it takes {promise.alpha_needs:,}"
    return f"{promise.alpha:g} ({percent(promise.at_most)} at most)"


def _filled(name: str, **values: object) -> str:
    return Template(files("face128.jobs.report").joinpath(name).read_text(encoding="utf-8")).substitute(values)


def percent(share: float) -> str:
    """A share as a reader likes it: 12 %, 1.2 %, 0.012 %, never 0 for what is only small."""
    return f"{100 * share:.0f} %" if share in (0, 1) or share >= 0.1 else f"{100 * share:.2g} %"


def _rate(value: float, interval: Rate | Estimate) -> str:
    return f"<strong>{percent(value)}</strong> <small>({percent(interval.low)} to {percent(interval.high)})</small>"


def _wanted(calibration: Calibration, wanted: float) -> str:
    threshold = calibration.wanted[wanted]
    if threshold is None:
        return f"<tr><td>{percent(wanted)}</td><td colspan=2>not enough people to say</td></tr>"
    frr = calibration.at(threshold)[1]
    return f"<tr><td>{percent(wanted)}</td><td>{threshold:.3f}</td><td>{_rate(frr.value, frr)}</td></tr>"


def strangers(calibration: Calibration, threshold: float, enrolled: int) -> str:
    """The share of strangers let in as somebody among so many, and how it is known."""
    share = calibration.growth[threshold][enrolled]
    if enrolled > calibration.measured_growth:
        return f"about {percent(share)}"
    return percent(share) if share else f"none of {calibration.sample.person_count:,}"


def _growth(calibration: Calibration, enrolled: int) -> str:
    cells = (f"<td>{strangers(calibration, threshold, enrolled)}</td>" for threshold in calibration.growth)
    return f"<tr><td>{enrolled:,}</td>{''.join(cells)}</tr>"


def _figure(plot: Callable[[Axes, T], None], subject: T, caption: str) -> str:
    light, dark = (_data_url(draw(plot, subject, look), "png") for look in ("light", "dark"))
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
        return ""  # it was there a minute ago; its name still is
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return f'<img src="{_data_url(jpeg.getvalue(), "jpeg")}" alt="">'


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
