"""A trial of a photo, or of a descriptor: what the service would decide at the door, and why (gallery/trial.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from face128.domain.probe import Probe
from face128.encoding.encode import encode
from face128.encoding.look import LookedAt, look
from face128.errors import Face128Error
from face128.service.gallery_access import CollectionAccess
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.trial import Trial


@dataclass(frozen=True)
class PhotoTrial:
    looked: LookedAt
    trial: Trial | None
    """Of the largest face; None where there is no face."""


async def try_photo(service: Service, access: CollectionAccess, image: bytes) -> PhotoTrial:
    """As /match_face decides, but that of several faces the largest is tried. Raises what open_photo raises."""
    engines = service.engines
    loaded, companions = engines.get(), engines.companions()
    looked = await service.run(partial(look, companions=companions), loaded, image, service.limits)
    if (described := looked.described) is None:
        return PhotoTrial(looked, None)
    by_engines: dict[str, Probe | Face128Error] = {}
    for name in engines.other_searches():
        other = engines.get(name)
        try:
            encoding = await service.run(encode, other, image, service.limits, "largest")
        except Face128Error as error:
            by_engines[name] = error
        else:
            by_engines[name] = Probe.of(other.card, encoding.descriptor)
    decides = described.companions if engines.probe_companions(None, None) else None
    probe = Probe.of(loaded.card, described.descriptor, decides)
    by_all = Probe.of(loaded.card, described.descriptor, described.companions)
    return PhotoTrial(looked, await try_probe(service, access, probe, by_all, by_engines))


async def try_probe(
    service: Service,
    access: CollectionAccess,
    probe: Probe,
    by_all: Probe | None = None,
    by_engines: dict[str, Probe | Face128Error] | None = None,
) -> Trial:
    """As /match decides in the gallery. See ``Asked`` for the arguments."""
    from face128.gallery.trial import Asked, try_face

    settings = service.settings
    models = settings.decision_models
    asked = Asked(probe, by_all or probe, by_engines or {}, settings.rule, settings.template, models)
    return await access.run(try_face, asked)
