"""Ends the work for a request whose client has left."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Send

WATCH_DELAY_S = 0.05  # most requests are answered before, and never watched


class DisconnectWatch:
    """Cancels the request's task if the client leaves between the end of the body and the start of the answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.client_left = False
        self.answer_started = False
        self._receive = receive
        self._send = send
        self._request = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body") and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_DELAY_S, self._start)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answer_started = True
            self.stop()
        await self._send(message)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _start(self) -> None:
        self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        if self._request is not None:
            self._request.cancel()
