"""Try a photo, or a descriptor: whose face the service takes it for, and why."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, View, error_sentence, page
from face128.api.console.screens.try_photo.values import photo_values, trial_values
from face128.api.metrics.prometheus import metrics_of
from face128.api.requests.bodies import FORM_OVERHEAD_BYTES, read_form, refuse_if_full
from face128.api.requests.multipart import read_file
from face128.domain import probe as probes
from face128.domain import strict_json
from face128.domain.model_card import DLIB, find_card
from face128.domain.probe import Probe
from face128.errors import BadImage, BadRequest, InvalidDescriptor, InvalidRequest, TooLarge, UnsupportedFormat
from face128.service.trials import try_photo, try_probe

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MENDABLE = BadImage, BadRequest, InvalidDescriptor, InvalidRequest, TooLarge, UnsupportedFormat
"""What somebody who tries can do something about: the form is shown again."""
MAX_DESCRIPTOR_CHARACTERS = FORM_OVERHEAD_BYTES // 2


@router.get("/console/try", dependencies=console_needs("match"))
async def try_page(request: Request) -> Response:
    return page(request, "try/form.html", screen="try", problem=None, typed="")


@router.post("/console/try", dependencies=console_needs("match"))
async def try_face(request: Request, service: ServiceDep, access: GalleryDep) -> Response:
    refuse_if_full(request)
    typed = ""
    try:
        form = await read_form(request, service.limits.max_bytes + FORM_OVERHEAD_BYTES, max_files=1)
        file, text = form.get("image"), form.get("descriptor")
        typed = text.strip() if isinstance(text, str) else ""
        if file is not None:
            tried = await try_photo(service, access, await read_file(file))
            return page(request, "try/result.html", screen="try", **photo_values(View(request), tried))
        if typed:
            trial = await try_probe(service, access, parse_probe(typed))
            return page(request, "try/result.html", screen="try", photo=None, **trial_values(View(request), trial))
        problem, status = View(request).sentences.text("try.nothing_chosen"), InvalidRequest.status
    except MENDABLE as error:
        metrics_of(request).count_error(error.code)
        problem, status = error_sentence(request, error), error.status
    return page(request, "try/form.html", status, screen="try", problem=problem, typed=typed)


def parse_probe(text: str) -> Probe:
    """A descriptor in any form that /match takes; or an object with ``descriptor``, as /encode-image answers.

    Raises InvalidDescriptor, InvalidRequest and BadRequest.
    """
    if len(text) > MAX_DESCRIPTOR_CHARACTERS:
        raise InvalidDescriptor(field="descriptor")
    value: Any = strict_json.loads(text) if text.startswith("{") else text
    if not (isinstance(value, dict) and not value.keys().isdisjoint(("descriptor", "descriptors"))):
        return probes.parse(text, None, DLIB)
    model = value.get("model")
    card = DLIB if model is None else find_card(model)
    if card is None:
        raise InvalidRequest("There is no model of this name.", field="model")
    return probes.parse(value.get("descriptor"), value.get("companions") or value.get("descriptors"), card)
