"""Many photos in one request: each is decoded and cropped alone, then the network describes chips in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.encoding.encode import FaceChoice, crop_base64_photo, describe_chips
from face128.engines.base import Chips, Engine
from face128.errors import Face128Error, TooManyImages
from face128.events import Stage
from face128.service.service import Service

Cropped = tuple[list[Chips], dict[str, Any]]
"""The chips of one face, one for each engine, and its ``face_fields``."""

MAX_IMAGES = 64
BATCH_CHIPS = 8  # as many chips as one run of the network takes


async def extract_all(
    service: Service,
    engine: Engine,
    images: list[Any],
    face_choice: FaceChoice,
    companions: Sequence[Engine] | None = None,
) -> list[dict[str, Any]]:
    """One result per photo, in their order: its descriptor, or its own error. Raises TooManyImages.

    A result has ``companions`` unless they are None: the descriptors by these engines.
    At most as many photos as the pool has threads are in the pool at a time, so that other requests get their turn.
    """
    if len(images) > MAX_IMAGES:
        raise TooManyImages(f"One request may have at most {MAX_IMAGES} images.", max_images=MAX_IMAGES)
    semaphore = asyncio.Semaphore(service.photo_pool.threads)

    engines = [engine, *(companions or ())]

    async def crop(image: Any) -> Cropped | Face128Error:
        async with semaphore:
            try:
                return await service.photo_pool.run_when_free(
                    crop_base64_photo, engine, image, service.limits, face_choice, engines[1:]
                )
            except Face128Error as error:
                return error

    async def describe(position: int, chips: list[Chips]) -> Descriptors:
        stage: Stage = "companions" if position else "describe"
        async with semaphore:
            return await service.photo_pool.run_when_free(
                describe_chips, engines[position], np.concatenate(chips), stage
            )

    async def describe_all(position: int) -> Iterator[list[float]]:
        """The descriptors of all faces by one of the engines."""
        chips = [outcome[0][position] for outcome in outcomes if isinstance(outcome, tuple)]
        groups = [chips[i : i + BATCH_CHIPS] for i in range(0, len(chips), BATCH_CHIPS)]
        described = await asyncio.gather(*(describe(position, group) for group in groups))
        return (descriptor.tolist() for group in described for descriptor in group)

    outcomes = await asyncio.gather(*(crop(image) for image in images))
    faces = zip(*await asyncio.gather(*map(describe_all, range(len(engines)))), strict=True)
    models = [each.card.name for each in engines[1:]]

    def result(index: int, outcome: Cropped | Face128Error) -> dict[str, Any]:
        if isinstance(outcome, Face128Error):
            return {"index": index, "face_detected": False, **outcome.body()}
        embedding, *others = next(faces)
        found = {} if companions is None else {"companions": dict(zip(models, others, strict=True))}
        return {"index": index, "face_detected": True, "embedding": embedding, **found, **outcome[1]}

    return [result(index, outcome) for index, outcome in enumerate(outcomes)]
