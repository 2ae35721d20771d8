"""reencode --post tells the service how far it is: PUT /jobs/{id}. The job never waits for that, or fails by it."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from face128.jobs.reencode.remote_service import RemoteService

INTERVAL_S = 2.0
REQUEST_TIMEOUT_S = 5.0
END_TIMEOUT_S = 2 * REQUEST_TIMEOUT_S
MAX_CODES = 50  # that the service takes

Stage = Literal["encoding", "enrolling"]


class JobReports:
    """For ``with``: the job ends as the block does. Without a service it does nothing."""

    def __init__(self, service: RemoteService | None) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._report: dict[str, Any] = {}
        self._errors: Counter[str] = Counter()
        self._changed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job reports", daemon=True)

    def __enter__(self) -> Self:
        if self._service is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._set(state="done" if kind is None else "interrupted" if interrupted else "failed")
        self._ended.set()
        if self._service is not None:
            self._thread.join(END_TIMEOUT_S)

    def begin(self, stage: Stage, total: int, done: int = 0) -> None:
        """``total`` photos are to be encoded, or people to be enrolled; so many were done before."""
        with self._lock:
            self._errors.clear()
            self._report = {"state": "running", "stage": stage, "total": total, "done": done, "failed": 0}
            self._changed = True

    def add(self, code: str | None = None) -> None:
        """One more is done; or has failed, with this code."""
        with self._lock:
            self._report["failed" if code else "done"] += 1
            if code:
                self._errors[code] += 1
            self._changed = True

    def _set(self, **values: str) -> None:
        with self._lock:
            if self._report:  # else it ended before it began
                self._report |= values
                self._changed = True

    def _take(self) -> dict[str, Any] | None:
        """What is to be reported now; None if nothing has changed."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            total = max(self._report["total"], self._report["done"] + self._report["failed"])
            return self._report | {"total": total, "errors": dict(self._errors.most_common(MAX_CODES))}

    def _run(self) -> None:
        assert self._service is not None
        url = f"{self._service.url.rstrip('/')}/jobs/{uuid.uuid4().hex}"
        with httpx.Client(headers=self._service.headers, timeout=REQUEST_TIMEOUT_S) as client:
            while True:
                ended = self._ended.is_set()
                if (report := self._take()) and not self._send(client, url, report):
                    return
                if ended:
                    return
                self._ended.wait(INTERVAL_S)

    def _send(self, client: httpx.Client, url: str, report: dict[str, Any]) -> bool:
        """Returns whether the service takes reports: one of an older version knows no such address."""
        try:
            status = client.put(url, json=report).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            status = httpx.codes.SERVICE_UNAVAILABLE
        if status in (429, 503):  # the next report has this one's news, too
            with self._lock:
                self._changed = True
            return True
        return httpx.codes.is_success(status)
