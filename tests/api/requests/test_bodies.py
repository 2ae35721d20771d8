"""bodies.py: the chunks of a body as they are handed on."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from starlette.requests import Request
from starlette.types import Message

from face128.api.app import create_app
from face128.api.middleware.body_memory import BodyMemory
from face128.api.requests.bodies import SMALL_CHUNK_BYTES, receive_body
from face128.settings import Settings

BODY = random.Random(1).randbytes(50_000)


@pytest.mark.parametrize("size", [1, 1000, SMALL_CHUNK_BYTES - 1, SMALL_CHUNK_BYTES, 20_000, len(BODY)])
def test_small_chunks_are_handed_on_together(size: int) -> None:
    pieces = [BODY[start:end] for start, end in pairwise([*range(0, len(BODY), size), len(BODY)])]
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages += [{"type": "http.request", "body": b"", "more_body": False}]
    app = create_app(Settings(engines=("fake",)))
    state = {"memory": BodyMemory(2**20).reservation()}

    async def receive() -> Message:
        return messages.pop(0)

    taken: list[bytes] = []
    request = Request({"type": "http", "app": app, "state": state, "headers": []}, receive)
    asyncio.run(receive_body(request, len(BODY), taken.append))
    assert b"".join(taken) == BODY
    assert all(len(chunk) >= SMALL_CHUNK_BYTES for chunk in taken[:-1])
    assert not messages
