"""Photos for the fake engine, one person for each seed, and a request that enrols one."""

from __future__ import annotations

import io

import httpx
import numpy as np
from PIL import Image

MAX_NOISE = 4  # grey levels: 0.1 from the person's other photos


def fake_photo(seed: int, photo: int = 0) -> bytes:
    """Strips of random grey, at a large distance from every other seed's, and near the seed's other photos."""
    strips = np.random.default_rng(seed).integers(MAX_NOISE, 256 - MAX_NOISE, 128, np.uint8)
    if photo:
        noise = np.random.default_rng([seed, photo]).integers(-MAX_NOISE, MAX_NOISE + 1, 128)
        strips = (strips + noise).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.repeat(strips, 2)[:, None, None].repeat(8, 1).repeat(3, 2)).save(stream, "PNG")
    return stream.getvalue()


def create_record(
    client: httpx.Client, image: bytes, name: str = "John Doe", query: str = "", **fields: str
) -> httpx.Response:
    return client.post(f"/records{query}", files={"image": image}, data={"name": name, **fields})


def erase_everybody(client: httpx.Client) -> None:
    """So that tests that each need an empty gallery share a service."""
    while records := client.get("/records").raise_for_status().json()["records"]:
        for record in records:
            client.delete(f"/records/{record['id']}").raise_for_status()
