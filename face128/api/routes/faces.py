"""The stateless routes of the InsightFace and embeddings services: detect, verify, extract, compare, batch."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from face128.api.auth.guard import ServiceDep, needs
from face128.api.openapi.body_schemas import BATCH_BODY, IMAGE_BODY, TWO_DESCRIPTORS_BODY, TWO_IMAGES_BODY
from face128.api.requests.bodies import read_image, read_images, read_json
from face128.api.requests.query import EngineName, Faces, WithCompanions, WithQuality
from face128.api.responses import schemas
from face128.api.responses.schemas import PHOTO_ERRORS, REFUSED, problems
from face128.api.routes.batch_extract import extract_all
from face128.domain.descriptors import distance
from face128.encoding.encode import assess_faces, encode, face_fields, find_faces, photo_facts
from face128.errors import InvalidRequest
from face128.matching import verification

router = APIRouter(responses=REFUSED, tags=["faces"])

MAX_DESCRIPTOR_PAIR_BYTES = 256 * 1024  # two descriptors of 512 numbers as decimal JSON, and some room


@router.post(
    "/detect",
    response_model=schemas.Detected,
    response_model_exclude_unset=True,
    responses=PHOTO_ERRORS,
    openapi_extra=IMAGE_BODY,
    dependencies=needs("encode", detected=False),
)
async def detect(
    request: Request, service: ServiceDep, quality: WithQuality = False, engine: EngineName = None
) -> dict[str, Any]:
    """How many faces are in the photo, and where. A photo without a face is no error: `detected` is false."""
    loaded = service.engines.get(engine)
    job = loaded, await read_image(request, service.limits), service.limits
    if quality:
        photo, faces, qualities = await service.run(assess_faces, *job)
        facts = [{"quality": each.to_json()} for each in qualities]
    else:
        photo, faces = await service.run(find_faces, *job)
        facts = [{} for _ in faces]
    messages = ("No face detected", "Single face detected successfully")
    return {
        "detected": bool(faces),
        "face_count": len(faces),
        "confidence": face_fields(faces[0], photo)["confidence"] if faces else 0.0,
        "message": messages[len(faces)] if len(faces) < len(messages) else f"Multiple faces detected: {len(faces)}",
        "model": loaded.card.name,
        "faces": [
            {**face_fields(face, photo), "landmarks": list(map(list, face.landmarks)), **own}
            for face, own in zip(faces, facts, strict=True)
        ],
        **(photo_facts(faces[0]) | facts[0] if faces else {}),
    }


@router.post(
    "/verify-face",
    response_model_exclude_unset=True,
    responses=PHOTO_ERRORS,
    openapi_extra=IMAGE_BODY,
    dependencies=needs("encode", face_detected=False),
)
async def verify_face(
    request: Request, service: ServiceDep, engine: EngineName = None
) -> schemas.Verified | schemas.NotVerified:
    """Whether there is a face in the photo; of several, the one with the highest confidence."""
    loaded = service.engines.get(engine)
    photo, faces = await service.run(find_faces, loaded, await read_image(request, service.limits), service.limits)
    if not faces:
        return schemas.NotVerified(face_detected=False, error="No face detected in image")
    fields = face_fields(faces[0], photo)
    return schemas.Verified(face_detected=True, **fields, message="Face detected successfully")


@router.post(
    "/extract-embedding",
    response_model_exclude_unset=True,
    responses=PHOTO_ERRORS,
    openapi_extra=IMAGE_BODY,
    dependencies=needs("encode", success=False, face_detected=False),
)
async def extract_embedding(
    request: Request,
    service: ServiceDep,
    faces: Faces = "one",
    companions: WithCompanions = False,
    engine: EngineName = None,
) -> schemas.Extracted:
    """The same descriptor as /encode-image, bit for bit, in the shape of the InsightFace and embeddings services."""
    loaded = service.engines.get(engine)
    others = service.engines.companions(engine) if companions else []
    image = await read_image(request, service.limits)
    encoding = await service.run(partial(encode, companions=others), loaded, image, service.limits, faces)
    found: dict[str, Any] = {"companions": encoding.companion_lists()} if companions else {}
    return schemas.Extracted(
        success=True,
        embedding=encoding.descriptor.tolist(),
        embedding_size=loaded.card.dimension,
        face_detected=True,
        model=encoding.model,
        **found,
        **face_fields(encoding.face, encoding.photo),
    )


@router.post(
    "/compare",
    response_model_exclude_unset=True,
    responses=PHOTO_ERRORS,
    openapi_extra=TWO_IMAGES_BODY,
    dependencies=needs("match", success=False),
)
async def compare(
    request: Request, service: ServiceDep, faces: Faces = "one", engine: EngineName = None
) -> schemas.Compared:
    """Whether two photos show one person, by the model's metric and threshold."""
    loaded = service.engines.get(engine)
    images = await read_images(request, service.limits, ("image1", "image2"))
    first, second = await service.encode_all(loaded, [({"field": field}, image) for field, image in images], faces)
    metric = loaded.card.metric
    comparison = verification.Comparison(distance(first.descriptor, second.descriptor, metric), metric)
    both = {"image1": first.face.adjusted.to_json(), "image2": second.face.adjusted.to_json()}
    adjusted: dict[str, Any] = {field: done for field, done in both.items() if done}
    return schemas.Compared(
        **({"adjusted": adjusted} if adjusted else {}),
        success=True,
        similarity=comparison.similarity,
        confidence=50 * (1 + comparison.similarity),
        same_person=comparison.distance <= loaded.card.threshold,
        distance=comparison.distance,
        threshold=loaded.card.threshold,
        model=loaded.card.name,
    )


@router.post(
    "/compare-faces",
    responses=problems(400, 409, 413, 422),
    openapi_extra=TWO_DESCRIPTORS_BODY,
    dependencies=needs("match"),
)
async def compare_faces(request: Request) -> schemas.ComparedFaces:
    """The distance of two descriptors: Euclidean for 128 numbers, cosine for 256 and 512. Needs no engine."""
    comparison = verification.compare_request(await read_json(request, MAX_DESCRIPTOR_PAIR_BYTES))
    return schemas.ComparedFaces.model_validate(comparison, from_attributes=True)


@router.post(
    "/batch-extract",
    response_model=schemas.Batch,
    response_model_exclude_unset=True,
    responses=problems(400, 409, 413, 422),
    openapi_extra=BATCH_BODY,
    dependencies=needs("encode"),
)
async def batch_extract(
    request: Request,
    service: ServiceDep,
    faces: Faces = "one",
    companions: WithCompanions = False,
    engine: EngineName = None,
) -> dict[str, Any]:
    """Descriptors of up to 64 photos in base64, in their order. A bad photo has its own error; the others succeed."""
    loaded = service.engines.get(engine)
    others = service.engines.companions(engine) if companions else None
    body = await read_json(request, service.settings.max_batch_bytes, any_text=True)  # a bad photo fails alone
    images = body.get("images") if isinstance(body, dict) else None
    if not isinstance(images, list):
        raise InvalidRequest('The body must be {"images": ["base64", ...]}.', field="images")
    results = await extract_all(service, loaded, images, faces, others)
    successful = sum(result["face_detected"] for result in results)
    return {
        "results": results,
        "total": len(results),
        "successful": successful,
        "failed": len(results) - successful,
        "model": loaded.card.name,
    }
