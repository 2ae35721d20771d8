"""What a threshold does among enrolled people, by its definition: in float64, one distance at a time."""

from __future__ import annotations

import time
from typing import Any

import httpx
import numpy as np
from people import at_distance, enrol, synthetic

from face128.gallery.gallery import Gallery

TIMEOUT_S = 60
Photos = dict[str, Any]
"""By person, (photos, 128)."""


def people(count: int = 60) -> Photos:
    """Of one to three photos, which are as far apart as photos of one person are; some look like somebody else."""
    photos, random = {}, np.random.default_rng(5)
    for index, vector in enumerate(synthetic(count)):
        own = [vector, *(vector + random.normal(0, random.uniform(0.015, 0.06), 128) for _ in range(index % 3))]
        photos[str(index)] = np.array(own, np.float32)
        if index % 5 == 1:
            photos[f"like {index}"] = np.array([at_distance(vector, 0.25 + 0.01 * index)])
    return photos


def enrol_all(gallery: Gallery, photos: Photos) -> None:
    for person, own in photos.items():
        enrol(gallery, person, own, f"Name {person}", force=True)


def apart(rows: Any, photo: Any) -> float:
    """The distance to the nearest row."""
    return float(np.sqrt(((rows.astype(np.float64) - photo.astype(np.float64)) ** 2).sum(axis=1)).min())


def kept(own: Any, mean: bool) -> Any:
    return own.astype(np.float64).mean(axis=0, keepdims=True) if mean else own


def by_definition(photos: Photos, threshold: float, mean: bool) -> tuple[float, float, float, float]:
    """The shares of members, strangers, refused and mistaken."""
    members, strangers, refused, mistaken, several = 0, 0.0, 0.0, 0.0, 0
    for person, own in photos.items():
        others = np.concatenate([kept(rows, mean) for other, rows in photos.items() if other != person])
        nearest = [apart(others, photo) for photo in own]
        members += min(nearest) <= threshold
        strangers += np.mean([distance <= threshold for distance in nearest])
        if len(own) > 1:
            several += 1
            rests = [apart(kept(np.delete(own, place, 0), mean), photo) for place, photo in enumerate(own)]
            found = list(zip(rests, nearest, strict=True))
            refused += np.mean([min(pair) > threshold for pair in found])
            mistaken += np.mean([other <= threshold and other < rest for rest, other in found])
    return members / len(photos), strangers / len(photos), refused / several, mistaken / several


def compared_page(client: httpx.Client, query: str = "", **headers: str) -> str:
    """The page, once the members are compared with each other."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        answer = client.get(f"/console/threshold?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        if "data-comparing" not in answer.text:
            return answer.text
        assert time.monotonic() < deadline
        time.sleep(0.05)
