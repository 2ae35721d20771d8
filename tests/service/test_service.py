"""The service without HTTP."""

from __future__ import annotations

import asyncio

import pytest

from face128.errors import Face128Error, Overloaded
from face128.service.service import Service
from face128.settings import Settings


@pytest.mark.parametrize(
    ("error", "reason"), [(Overloaded("No memory."), "No memory."), (KeyError("x"), Face128Error.sentence)]
)
def test_whatever_stops_the_loading_is_the_reason_that_ready_gives(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise say that the engines are loading, as long as the service runs."""

    async def scenario() -> None:
        service = Service(Settings(engines=("fake",), isolation="thread"))

        def fail(_: object) -> None:
            raise error

        monkeypatch.setattr(service.photo_pool, "warm", fail)
        service.start()
        async with asyncio.timeout(20):
            while service.engines.states() == {"fake": "loading"}:  # noqa: ASYNC110  (a thread sets no asyncio.Event)
                await asyncio.sleep(0.01)
        assert service.engines.states() == {"fake": reason}
        assert not service.engines.ready
        await service.stop()

    asyncio.run(scenario())
