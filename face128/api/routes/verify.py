"""One to one: POST /verify/{user_id}. An operator who knows who it should be needs no search among everybody."""

from __future__ import annotations

from fastapi import APIRouter, Request

from face128.api.auth.guard import ServiceDep, needs
from face128.api.metrics.prometheus import metrics_of
from face128.api.openapi.body_schemas import VERIFY_BODY
from face128.api.requests.forms import PhotoForm, read_photos
from face128.api.requests.query import EngineName
from face128.api.requests.user_id import UserId
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, VerifiedPerson, problems
from face128.domain import descriptors
from face128.domain.descriptors import Descriptors, Vector
from face128.domain.model_card import DLIB, MODEL_NAMES, ModelCard, find_card
from face128.encoding.encode import encode
from face128.errors import InvalidRequest
from face128.service.service import Service

router = APIRouter(responses=REFUSED, tags=["enrol and match"])


@router.post(
    "/verify/{user_id:path}",
    responses={**problems(404, 409), **PHOTO_ERRORS},
    openapi_extra=VERIFY_BODY,
    dependencies=needs("match", verified=False),
)
async def verify_person(
    user_id: UserId, request: Request, service: ServiceDep, engine: EngineName = None
) -> VerifiedPerson:
    """Is this the face of this person? Compares with the faces of this person alone, and looks for nobody else.

    A photo, or JSON with a `descriptor` (and its `model`). `verified` is `distance <= threshold`.
    """
    form = await read_photos(request, service.limits, or_descriptor=True)
    threshold = form.number("threshold", None)
    if not (threshold is None or 0 < threshold <= 2):
        raise InvalidRequest("A threshold is a number above 0 and not above 2.", field="threshold")
    probe, card = await _describe(service, form, engine) if form.images else _given_descriptor(form)
    found = await service.gallery.run(lambda gallery: gallery.verify(user_id, probe, card, threshold))
    metrics_of(request).count_decision(card.name, None, found.verified)  # not the distance: it is no search's
    return VerifiedPerson(
        verified=found.verified,
        user_id=found.person.user_id,
        name=found.person.name,
        distance=found.distance,
        threshold=found.threshold,
        model=found.model,
    )


async def _describe(service: Service, form: PhotoForm, engine: str | None) -> tuple[Descriptors, ModelCard]:
    loaded = service.engine(engine)
    encoding = await service.run(encode, loaded, form.image(), service.limits)
    return encoding.descriptor, loaded.card


def _given_descriptor(form: PhotoForm) -> tuple[Vector, ModelCard]:
    name = form.fields.get("model")
    card = DLIB if name is None else find_card(name)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
    return descriptors.parse(form.fields["descriptor"], card.dimension), card
