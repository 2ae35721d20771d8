"""overload.py: what is refused while the event loop is behind. Under real load: test_overload_under_load.py."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
from fastapi import FastAPI, Request

from face128.api.metrics.prometheus import Metrics
from face128.api.middleware.body_memory import BodyMemory
from face128.api.middleware.overload import MAX_LAG_S, MIN_REQUESTS_OF_OVERLOAD, OverloadControl


async def behind(requests: int, waiting: str = "slow") -> dict[str, httpx.Response]:
    """The answers of three paths while so many requests wait and the loop is late; ``later``: once it is not.

    ``waiting``: what they wait for. A "stream" has begun to answer.
    """
    released = asyncio.Event()
    app = FastAPI()
    app.state.metrics = Metrics()
    app.add_middleware(OverloadControl, BodyMemory(2**20))

    @app.get("/{path}")
    async def route(path: str, request: Request) -> dict[str, Any]:
        if path == "stream":
            request.state.counted.close()
        if path == waiting:
            await released.wait()
        return {"path": path}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        slow = [asyncio.create_task(client.get(f"/{waiting}")) for _ in range(requests)]
        await asyncio.sleep(0.1)
        time.sleep(3 * MAX_LAG_S)  # noqa: ASYNC251  (this is what holds the loop up)
        answers = {path: await client.get(f"/{path}") for path in ("any", "encode-image", "health")}
        await asyncio.sleep(0.1)
        answers["later"] = await client.get("/any")
        released.set()
        assert {reply.status_code for reply in await asyncio.gather(*slow)} == {200}
    return answers


def test_while_the_loop_is_behind_with_many_requests_the_next_are_refused_but_health_is_not() -> None:
    answers = asyncio.run(behind(MIN_REQUESTS_OF_OVERLOAD + 1))
    assert answers["any"].status_code == 503
    assert answers["any"].json()["code"] == "overloaded"
    assert int(answers["any"].headers["retry-after"]) >= 1
    assert "connection" not in answers["any"].headers  # the client keeps it, and comes again
    assert answers["encode-image"].json()["face_detected"] is False  # as all errors of that route
    assert answers["health"].json() == {"path": "health"}
    assert answers["later"].json() == {"path": "any"}


def test_a_moment_in_which_the_machine_stood_still_refuses_nobody() -> None:
    assert {reply.status_code for reply in asyncio.run(behind(MIN_REQUESTS_OF_OVERLOAD - 1)).values()} == {200}


def test_streams_that_stay_open_are_no_load() -> None:
    answers = asyncio.run(behind(3 * MIN_REQUESTS_OF_OVERLOAD, "stream"))
    assert {reply.status_code for reply in answers.values()} == {200}
