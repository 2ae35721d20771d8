"""What there is, and what needs somebody's attention: the first thing that an operator wants to see."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from face128.api_keys import Scope
from face128.errors import Face128Error
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.overview import GalleryOverview
    from face128.gallery.trail.check import Checked
    from face128.jobs.audit.gallery_audit import GalleryAudit

AUDIT, TRAIL_CHECK = "audit", "trail check"
"""Names of measurements: of a collection's gallery, and of the trail."""


@dataclass(frozen=True)
class Attention:
    kind: str
    screen: str
    """Of the console, where it can be mended."""
    count: int = 1
    """Of what needs attention."""
    name: str = ""
    """What it is about."""


@dataclass(frozen=True)
class Overview:
    engines: dict[str, str]
    """As /ready has them."""
    gallery: GalleryOverview | None
    """None without the scope gallery, and where the gallery cannot be used."""
    attention: list[Attention]


async def overview(service: Service, collection: str, scopes: Collection[Scope], now: datetime) -> Overview:
    """For somebody with these scopes. Decisions are those of the day of ``now``, in UTC."""
    engines = service.engines.states()
    attention = [
        Attention("engine", "health", name=name) for name, state in engines.items() if state not in ("ready", "loading")
    ]
    found: GalleryOverview | None = None
    if "gallery" in scopes:
        try:
            found = await service.gallery.of(collection).run(_gallery_overview, now)
        except Face128Error as error:
            attention.append(Attention("gallery", "health", name=str(error)))
    if found is not None:
        attention += _of_gallery(found, now)
        attention += _of_audit(service, collection)
    if "admin" in scopes:
        attention += _of_trail(service)
    return Overview(engines, found, attention)


def _gallery_overview(gallery: Any, now: datetime) -> GalleryOverview:
    from face128.gallery.overview import overview

    return overview(gallery, now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0))


def _of_gallery(found: GalleryOverview, now: datetime) -> Iterator[Attention]:
    if "warning" in found.details["strangers"]:
        yield Attention("strangers", "threshold")
    encryption = found.details.get("encryption", {})
    for kind in ("faces_in_clear", "erased_faces", "damaged_faces"):
        if count := encryption.get(kind, 0):
            yield Attention(kind, "health", count)
    if count := sum(job.stalled(now) for job in found.jobs):
        yield Attention("stalled_jobs", "health", count)
    if found.to_review:
        yield Attention("to_review", "review", found.to_review)


def _of_audit(service: Service, collection: str) -> Iterator[Attention]:
    measured = service.measurements.last(AUDIT, collection)
    audit: GalleryAudit | None = measured.result if measured else None
    if audit is not None and audit.need_person:
        yield Attention("findings", "health", audit.need_person)


def _of_trail(service: Service) -> Iterator[Attention]:
    measured = service.measurements.last(TRAIL_CHECK)
    checked: Checked | None = measured.result if measured else None
    if checked is not None and checked.fault_count:
        yield Attention("trail_faults", "trail", checked.fault_count)
