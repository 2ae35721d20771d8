"""Reads server-sent events, as a browser does, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from liveness import until

TIMEOUT_S = 30  # between two lines; a heartbeat comes every 5 s


@dataclass(frozen=True)
class Event:
    id: str
    name: str
    data: str


class Stream:
    """What has come so far. ``last_id`` is what a browser would send when it connects again."""

    def __init__(self, answer: httpx.Response) -> None:
        self.events: list[Event] = []
        self.last_id = ""
        self.comments = 0
        self.ended = threading.Event()
        self._answer = answer
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[int]:
        return [int(event.id) for event in self.events if event.name == "decision"]

    def wait_for(self, count: int) -> list[Event]:
        """So many events at least; fails after 20 seconds."""
        until(lambda: len(self.events) >= count)
        return self.events

    def _read(self) -> None:
        name, data = "message", []
        with suppress(httpx.HTTPError, httpx.StreamError):
            for line in self._answer.iter_lines():
                field, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif not line:
                    if data:
                        self.events.append(Event(self.last_id, name, "\n".join(data)))
                    name, data = "message", []
        self.ended.set()


@contextmanager
def listening(client: httpx.Client, path: str, attempts: int = 1, **options: Any) -> Iterator[Stream]:
    """A stream of its own connection, with the cookies of the client. After 503, as many further attempts."""
    own_client: dict[str, Any] = {"base_url": client.base_url, "cookies": client.cookies, "timeout": TIMEOUT_S}
    headers = {"Accept": "text/event-stream"} | options.pop("headers", {})
    with httpx.Client(**own_client, verify=False) as own:  # certificates would be read for each
        while True:
            attempts -= 1
            with own.stream("GET", path, headers=headers, **options) as answer:
                if answer.status_code == 503 and attempts:
                    time.sleep(0.1)
                    continue
                assert answer.status_code == 200, answer.read()
                yield Stream(answer)
                return
