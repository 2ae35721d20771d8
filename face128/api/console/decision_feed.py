"""New decisions for the pages that show them live: one task for each collection asks the database, for all who listen.

The other processes of a service, and other services of the database, make decisions too: so it is asked again and
again, and nobody is told by the request that decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fastapi import FastAPI

from face128.errors import STOPPING, Face128Error, GalleryLost, Overloaded
from face128.logs import plain_traceback
from face128.service.gallery_access import CollectionAccess
from face128.service.service import Service

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.trail.decisions import KeptDecision

log = logging.getLogger("face128")

MAX_STREAMS = 50  # of each process: each holds a connection
POLL_S = 1.0
FAILED_POLL_S = 5.0
BLOCK_DECISIONS = 200  # read at once
MAX_WAITING_DECISIONS = 1000  # that a browser has not taken: then it is dropped, and asks anew for what it has missed
TOO_MANY_STREAMS = "As many pages follow the decisions as may. Close one of them, or try again later."

End = Literal["signed_out", "dropped"]


@dataclass(frozen=True)
class NamedDecision:
    decision: KeptDecision
    name: str | None
    """Of the person whom it is about."""
    events: dict[tuple[str, str], bytes] = field(default_factory=dict, compare=False, repr=False)
    """As it was told, by language and addresses: ten pages that show it cost little more than one."""


class Listener:
    """What one page is still to be told. For use on the event loop only."""

    def __init__(self, token: str | None) -> None:
        """``token`` is that of the session; None for a service without keys."""
        self.token = token
        self.position = 0
        """The id up to which all decisions are among those that it was told; before it listened, up to where it must
        ask itself."""
        self.end: End | None = None
        self._news: list[NamedDecision] = []
        self._changed = asyncio.Event()

    def tell(self, news: Sequence[NamedDecision], position: int) -> None:
        if len(self._news) + len(news) > MAX_WAITING_DECISIONS:
            self.stop("dropped")
        elif self.end is None:
            self._news += news
            self.position = position
            if news:
                self._changed.set()

    def stop(self, end: End) -> None:
        self.end = self.end or end
        self._changed.set()

    async def news(self, timeout_s: float) -> list[NamedDecision]:
        """What it has not taken yet; nothing after so long, or at the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        self._changed.clear()
        news, self._news = self._news, []
        return news


class DecisionFeed:
    """Raises Overloaded where too many listen, and while the service stops."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._channels: dict[str, _Channel] = {}
        service.when_stopping.append(self._stop)

    @classmethod
    def of(cls, app: FastAPI) -> DecisionFeed:
        """That of the application."""
        if not hasattr(app.state, "decision_feed"):
            app.state.decision_feed = cls(app.state.service)
        feed: DecisionFeed = app.state.decision_feed
        return feed

    def check_room(self) -> None:
        if self._service.stopping:
            raise Overloaded(STOPPING)
        if sum(len(channel.listeners) for channel in self._channels.values()) >= MAX_STREAMS:
            raise Overloaded(TOO_MANY_STREAMS)

    @contextmanager
    def listening(self, collection: str, listener: Listener, newest: int) -> Iterator[None]:
        """A block in which the listener is told of the decisions above its ``position``, which this sets.

        ``newest`` is the id of the newest decision.
        """
        self.check_room()
        channel = self._channels.get(collection)
        if channel is None:
            channel = self._channels[collection] = _Channel(self._service.gallery.of(collection), newest)
        listener.position = channel.position
        channel.listeners.add(listener)
        try:
            yield
        finally:
            channel.listeners.discard(listener)
            if not channel.listeners:
                channel.close()
                if self._channels.get(collection) is channel:
                    del self._channels[collection]

    def _stop(self) -> None:
        for channel in self._channels.values():
            channel.stop_all("dropped")


class _Channel:
    """The listeners of one collection, and the task that asks for them."""

    def __init__(self, access: CollectionAccess, position: int) -> None:
        self.position = position
        self.listeners: set[Listener] = set()
        self._access = access
        # Without the context of the request that comes first: its caller, and the id for the log.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def close(self) -> None:
        self._task.cancel()

    def stop_all(self, end: End) -> None:
        for listener in self.listeners:
            listener.stop(end)

    async def _run(self) -> None:
        more = False
        while True:
            await asyncio.sleep(0 if more else POLL_S)
            try:
                more = await self._poll()
            except GalleryLost:  # the next gallery has other ids
                self.stop_all("dropped")
                await asyncio.sleep(FAILED_POLL_S)
            except Face128Error:  # logged where it was raised
                await asyncio.sleep(FAILED_POLL_S)
            except Exception as error:
                log.error("the decisions that are shown live: %s", plain_traceback(error))
                await asyncio.sleep(FAILED_POLL_S)

    async def _poll(self) -> bool:
        """Tell what is new. Returns whether there may be more."""
        tokens = {listener.token for listener in self.listeners if listener.token is not None}
        news, living = await self._access.run(_read, self.position, tokens)
        if news:
            self.position = news[-1].decision.id
        for listener in self.listeners:
            if listener.token is None or listener.token in living:
                listener.tell(news, self.position)
            else:
                listener.stop("signed_out")
        return len(news) == BLOCK_DECISIONS


def read_following(gallery: Gallery, after: int, limit: int = BLOCK_DECISIONS) -> list[NamedDecision]:
    """The next decisions with an id above ``after``, the oldest first."""
    from face128.gallery.rows.person_names import names_of
    from face128.gallery.trail import decisions

    with gallery.database.reading() as connection:
        found = decisions.following(connection, after, limit)
        names = names_of(connection, {each.user_id for each in found if each.user_id is not None})
    return [NamedDecision(each, names.get(each.user_id or "")) for each in found]


def _read(gallery: Gallery, after: int, tokens: Collection[str]) -> tuple[list[NamedDecision], set[str]]:
    """The news, and which of these sessions have not ended."""
    from face128.gallery.sessions import Sessions

    return read_following(gallery, after), Sessions(gallery.database).living(tokens)
