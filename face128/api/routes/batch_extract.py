"""Many photos in one request: each is worked on for itself, their chips go through the network together."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.encoding import encode
from face128.encoding.encode import Which, crop_face
from face128.engines.base import Chips, Engine
from face128.errors import Face128Error, TooManyImages
from face128.service.service import Service

MAX_IMAGES = 64
CHIPS_AT_ONCE = 8  # as many as the network takes in one run


async def extract_all(service: Service, engine: Engine, images: list[Any], which: Which) -> list[dict[str, Any]]:
    """One result a photo, in their order: its descriptor, or its own error. Raises TooManyImages.

    No more photos are in the worker pool at a time than it has threads, so that other requests take turns with them.
    """
    if len(images) > MAX_IMAGES:
        raise TooManyImages(f"At most {MAX_IMAGES} images are taken in one request.", max_images=MAX_IMAGES)
    turns = asyncio.Semaphore(service.workers.threads)

    async def crop(image: Any) -> tuple[Chips, dict[str, Any]] | Face128Error:
        async with turns:
            try:
                return await service.workers.run_patiently(crop_face, engine, image, service.limits, which)
            except Face128Error as error:
                return error

    async def describe(chips: Chips) -> Descriptors:
        async with turns:
            return await service.workers.run_patiently(encode.describe, engine, chips)

    outcomes = await asyncio.gather(*(crop(image) for image in images))
    chips = [outcome[0] for outcome in outcomes if isinstance(outcome, tuple)]
    groups = [np.concatenate(chips[i : i + CHIPS_AT_ONCE]) for i in range(0, len(chips), CHIPS_AT_ONCE)]
    described = await asyncio.gather(*(describe(group) for group in groups))
    descriptors = (descriptor for group in described for descriptor in group)
    return [_result(index, outcome, descriptors) for index, outcome in enumerate(outcomes)]


def _result(index: int, outcome: tuple[Chips, dict[str, Any]] | Face128Error, descriptors: Any) -> dict[str, Any]:
    if isinstance(outcome, Face128Error):
        return {"index": index, "face_detected": False, **outcome.body()}
    return {"index": index, "face_detected": True, "embedding": next(descriptors).tolist(), **outcome[1]}
