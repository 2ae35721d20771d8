"""What must be in the database before a request is answered: a service waits for it on its event loop.

Apart from recorder.py: a service without a gallery does not load SQLAlchemy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TypeVar

from face128.errors import Face128Error

T = TypeVar("T")

to_await: ContextVar[list[Future[None]] | None] = ContextVar("to_await", default=None)
"""Where a job's notes are gathered; None: whoever notes something waits at once."""


async def when_recorded(answer: Awaitable[T]) -> T:
    """The answer, or its error, once everything is committed that was noted for it.

    Raises what the recording raises: what cannot be recorded is not answered.
    """
    gathered: list[Future[None]] = []
    token = to_await.set(gathered)
    try:
        result = await answer
    except Face128Error:
        await _all(gathered)
        raise
    finally:
        to_await.reset(token)
    await _all(gathered)
    return result


async def _all(gathered: list[Future[None]]) -> None:
    for each in gathered:
        await asyncio.wrap_future(each)
