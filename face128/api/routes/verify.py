"""One to one: POST /verify/{user_id}. An operator who knows who it should be needs no search among everybody."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import VERIFY_BODY
from face128.api.requests.forms import PhotoForm, read_photos
from face128.api.requests.query import EngineName, ProbeCompanions
from face128.api.requests.user_id import UserId
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, VerifiedPerson, problems
from face128.domain import probe, thresholds
from face128.domain.model_card import DLIB, MODEL_NAMES, find_card
from face128.domain.probe import Probe
from face128.encoding.encode import encode
from face128.errors import InvalidRequest
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.one_to_one import Verification

router = APIRouter(responses=REFUSED, tags=["enrol and match"])


@router.post(
    "/verify/{user_id:path}",
    responses={**problems(404, 409), **PHOTO_ERRORS},
    openapi_extra=VERIFY_BODY,
    dependencies=needs("match", verified=False),
)
async def verify_person(
    user_id: UserId,
    request: Request,
    service: ServiceDep,
    access: GalleryDep,
    companions: ProbeCompanions = None,
    engine: EngineName = None,
) -> VerifiedPerson:
    """Is this the face of this person? Compares with the faces of this person alone, and looks for nobody else.

    A photo, or JSON with a `descriptor` (and its `model`), or with `descriptors` by their models. `verified` is
    `distance <= threshold`.
    """
    form = await read_photos(request, service.limits, or_descriptor=True)
    threshold = form.threshold()
    asked = await _describe(service, form, engine, companions) if form.images else _given_probe(form)
    limits = thresholds.for_probe(threshold, asked.own)

    def verify(gallery: Gallery) -> Verification:
        found = gallery.verify(user_id, asked, limits)
        gallery.accounts.keep_verification(found)
        return found

    found = await access.run(verify)
    metrics_of(request).count_decision(found.model, None, found.verified)  # not the distance: it is no search's
    return VerifiedPerson(
        verified=found.verified,
        user_id=found.person.user_id,
        name=found.person.name,
        distance=found.distance,
        threshold=found.threshold,
        model=found.model,
    )


async def _describe(service: Service, form: PhotoForm, engine: str | None, companions: bool | None) -> Probe:
    loaded = service.engines.get(engine)
    job = partial(encode, companions=service.engines.probe_companions(engine, companions))
    encoding = await service.run(job, loaded, form.image(), service.limits)
    return Probe.of(loaded.card, encoding.descriptor, encoding.companions)


def _given_probe(form: PhotoForm) -> Probe:
    name = form.fields.get("model")
    card = DLIB if name is None else find_card(name)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
    return probe.parse(form.fields.get("descriptor"), form.fields.get("descriptors"), card)
