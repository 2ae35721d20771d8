"""The parts of a page, as HTML: text, tables, plots, and pairs of photos."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from face128.errors import Face128Error
from face128.jobs.calibrate.calibrate import WorstPair
from face128.jobs.calibrate.photo_pairs import short_name
from face128.jobs.report.plots import draw
from face128.jobs.report.risk_tables import Table
from face128.photos.photo import Limits, open_photo
from face128.terminal.visible import visible

THUMBNAIL_PIXELS = 160
NARROW_SCREEN = "(max-width: 40rem)"


def text(value: object) -> str:
    return escape(visible(value))


def paragraph(words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{text(words)}</p>"


def codes(commands: Sequence[str]) -> str:
    return "".join(f"<code>{text(command)}</code>" for command in commands)


def table(rows: Table) -> str:
    headings, *others = ([text(cell) for cell in row] for row in rows)
    head = "".join(f'<th scope="col">{cell}</th>' for cell in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in others)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(plot: Callable[..., None], data: Any, caption: str) -> str:
    """A plot for each theme, for large and small screens."""
    wide, wide_dark = (_data_url(draw(plot, data, theme), "png") for theme in ("light", "dark"))
    narrow, narrow_dark = (_data_url(draw(plot, data, theme, "narrow"), "png") for theme in ("light", "dark"))
    sources = (
        f'<source media="{NARROW_SCREEN} and (prefers-color-scheme: dark)" srcset="{narrow_dark}">'
        f'<source media="{NARROW_SCREEN}" srcset="{narrow}">'
        f'<source media="(prefers-color-scheme: dark)" srcset="{wide_dark}">'
    )
    image = f'<img src="{wide}" alt="{text(caption)}">'
    return f"<figure><picture>{sources}{image}</picture><figcaption>{text(caption)}</figcaption></figure>"


def photo_pairs(pairs: Sequence[WorstPair], limits: Limits) -> str:
    return f'<ul class="pairs">{"".join(_pair(*pair, limits) for pair in pairs)}</ul>'


def _pair(first: Path, second: Path, distance: float, limits: Limits) -> str:
    sides = "".join(
        f"<div>{_thumbnail(photo, limits)}<span>{text(short_name(photo))}</span></div>" for photo in (first, second)
    )
    return f"<li><b>{distance:.3f} apart</b>{sides}</li>"


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
