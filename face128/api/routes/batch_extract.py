"""Many photos in one request: each is decoded and cropped alone, then the network describes chips in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.encoding.encode import FaceChoice, crop_base64_photo, describe_chips
from face128.engines.base import Chips, Engine
from face128.errors import Face128Error, TooManyImages
from face128.service.service import Service

MAX_IMAGES = 64
BATCH_CHIPS = 8  # as many chips as one run of the network takes


async def extract_all(
    service: Service, engine: Engine, images: list[Any], face_choice: FaceChoice
) -> list[dict[str, Any]]:
    """One result per photo, in their order: its descriptor, or its own error. Raises TooManyImages.

    At most as many photos as the pool has threads are in the pool at a time, so that other requests get their turn.
    """
    if len(images) > MAX_IMAGES:
        raise TooManyImages(f"One request may have at most {MAX_IMAGES} images.", max_images=MAX_IMAGES)
    semaphore = asyncio.Semaphore(service.photo_pool.threads)

    async def crop(image: Any) -> tuple[Chips, dict[str, Any]] | Face128Error:
        async with semaphore:
            try:
                return await service.photo_pool.run_when_free(
                    crop_base64_photo, engine, image, service.limits, face_choice
                )
            except Face128Error as error:
                return error

    async def describe(chips: Chips) -> Descriptors:
        async with semaphore:
            return await service.photo_pool.run_when_free(describe_chips, engine, chips)

    outcomes = await asyncio.gather(*(crop(image) for image in images))
    chips = [outcome[0] for outcome in outcomes if isinstance(outcome, tuple)]
    groups = [np.concatenate(chips[i : i + BATCH_CHIPS]) for i in range(0, len(chips), BATCH_CHIPS)]
    described = await asyncio.gather(*(describe(group) for group in groups))
    descriptors = (descriptor for group in described for descriptor in group)
    return [_result(index, outcome, descriptors) for index, outcome in enumerate(outcomes)]


def _result(index: int, outcome: tuple[Chips, dict[str, Any]] | Face128Error, descriptors: Any) -> dict[str, Any]:
    if isinstance(outcome, Face128Error):
        return {"index": index, "face_detected": False, **outcome.body()}
    return {"index": index, "face_detected": True, "embedding": next(descriptors).tolist(), **outcome[1]}
