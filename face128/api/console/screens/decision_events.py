"""New decisions for the page that shows them, as server-sent events.

fastapi.sse writes them: sse-starlette, the other library for it, finds out that a service stops by looking for
uvicorn's signal handler, once a second; here the service says so itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from face128.api.auth.collection import GalleryDep
from face128.api.console.access import COOKIE, console_needs
from face128.api.console.decision_feed import DecisionFeed, Listener, NamedDecision, read_following
from face128.api.console.pages import PageRoute, View
from face128.api.console.screens.decisions import (
    MAX_TEXT_CHARACTERS,
    DecisionId,
    Filters,
    Text,
    newest_id,
    parse_filters,
)
from face128.api.routes.decisions import answered
from face128.errors import Face128Error
from face128.gallery.trail.entry import EVERYBODY
from face128.service.gallery_access import CollectionAccess

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HEARTBEAT_S = 5.0  # proxies close a connection on which nothing comes: nginx after 60 s
RECONNECT_MS = 3000
ROW = "decisions/_row.html"


@router.get("/console/decisions/events", dependencies=console_needs("gallery"))
async def decision_events(
    request: Request,
    access: GalleryDep,
    verdict: Text = "",
    kind: Text = "",
    person: Text = "",
    after: DecisionId = None,
    last_event_id: Annotated[str, Header(max_length=MAX_TEXT_CHARACTERS)] = "",
) -> Response:
    """Decisions above an id as server-sent events, each the row of a table in HTML: those that there are, and then new
    ones. ``Last-Event-ID`` is that of a browser which connects again; ``after`` is the first one's.
    """
    filters = parse_filters(verdict, kind, person)
    feed = DecisionFeed.of(request.app)
    feed.check_room()

    def begin(gallery: Gallery) -> int:
        about = ("list", EVERYBODY) if filters.person is None else ("read", filters.person)
        gallery.accounts.note(about[0], person=about[1], details={"live": True})
        return newest_id(gallery)

    newest = await access.run(begin)
    asked = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else after
    start = newest if asked is None else min(asked, newest)  # above it: an id of another gallery
    return DecisionStream(request, access, feed, filters, start, newest)


class DecisionStream(EventSourceResponse):
    def __init__(
        self,
        request: Request,
        access: CollectionAccess,
        feed: DecisionFeed,
        filters: Filters,
        start: int,
        newest: int,
    ) -> None:
        super().__init__(self._events(), headers={"X-Accel-Buffering": "no"})  # for nginx
        self._request, self._access, self._feed, self._filters = request, access, feed, filters
        self._position, self._newest = start, newest
        has_keys = request.app.state.guard.has_keys
        self._listener = Listener(request.cookies.get(COOKIE) if has_keys else None)
        self._view = View(request, "../")  # the rows stand on the page /console/decisions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.listening(self._request.state.collection, self._listener, self._newest):
            self._request.state.counted.close()
            await super().__call__(scope, receive, send)

    async def _events(self) -> AsyncIterator[bytes]:
        listener = self._listener
        listened_from = listener.position
        yield format_sse_event(comment="decisions", id=str(self._position), retry=RECONNECT_MS)
        try:
            while self._position < listened_from and listener.end is None:
                missed = await self._access.run(read_following, self._position)
                up_to = min(missed[-1].decision.id, listened_from) if missed else listened_from
                yield self._told([each for each in missed if each.decision.id <= listened_from], up_to)
        except Face128Error:  # the browser connects again, and asks from where it is
            return
        while listener.end is None:
            news = await listener.news(HEARTBEAT_S)
            yield self._told([each for each in news if each.decision.id > self._position], listener.position)
        if listener.end == "signed_out":
            yield format_sse_event(event="signed_out", data_str="1")

    def _told(self, news: list[NamedDecision], position: int) -> bytes:
        """The events of these decisions; and up to which id there is no other: a browser that connects again says so,
        also where the filters let nothing through.
        """
        events = [self._event(each) for each in news if self._filters.match(each.decision)]
        self._position = max(self._position, position)
        events.append(format_sse_event(comment="up to here", id=str(self._position)))
        return b"".join(events)

    def _event(self, news: NamedDecision) -> bytes:
        kind = self._view.sentences.language, self._view.url("person")
        if kind not in news.events:
            row = self._view.render(ROW, decision=answered(news.decision), name=news.name)
            news.events[kind] = format_sse_event(event="decision", id=str(news.decision.id), data_str=row)
        return news.events[kind]
