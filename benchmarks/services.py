"""Starts face128 and the naive service as an operator does; the client is http.client, for its low overhead."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from serving import environment, free_port

from benchmarks.harness import ROOT, SHARED

FACE128 = "face128"
NAIVE = "naive service"
NAIVE_FILE = SHARED / "peers" / "naive_service.py"
NO_NAIVE = f"No comparison with the naive service: ../{NAIVE_FILE.relative_to(ROOT.parent)} is missing."
MAX_IDLE_S = 3  # uvicorn closes a connection that has been idle for 5 seconds
TIMEOUT_S = 120


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes | None = None
    content_type: str = "application/json"


HEALTH = Request("/health")
READY = Request("/ready")


def upload(photo: bytes) -> Request:
    """A request to /encode-image with this photo."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="face.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + f"\r\n--{boundary}--\r\n".encode()
    return Request("/encode-image", body, f"multipart/form-data; boundary={boundary}")


class Crashed(Exception):
    """The service's process has ended unexpectedly."""


class Service:
    """A running service. Each sending thread keeps its own connection."""

    def __init__(self, name: str, **settings: str) -> None:
        self.name = name
        self._settings = settings
        self.port = free_port()
        self._local = threading.local()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        port = ["--port", str(self.port)]
        serve = {
            FACE128: ["face128", "serve", *port],
            # httptools: the HTTP parser of a usual installation (uvicorn[standard]).
            NAIVE: ["uvicorn", "naive_service:app", "--http", "httptools", "--app-dir", str(NAIVE_FILE.parent), *port],
        }
        command, output = [sys.executable, "-m", *serve[self.name]], subprocess.DEVNULL
        return subprocess.Popen(command, cwd=ROOT, env=environment(**self._settings), stdout=output, stderr=output)

    @property
    def process_id(self) -> int:
        return self._process.pid

    def send(self, request: Request) -> bytes:
        """The answer's body. Raises RuntimeError if the status is not 200, Crashed, and OSError without a listener."""
        local = self._local
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        elif time.monotonic() - local.used > MAX_IDLE_S:
            local.connection.close()
        connection = local.connection
        method = "GET" if request.body is None else "POST"
        try:
            connection.request(method, request.path, request.body, {"Content-Type": request.content_type})
            response = connection.getresponse()
            answer: bytes = response.read()
            local.used = time.monotonic()
        except (OSError, http.client.HTTPException):
            del local.connection
            if (status := self._exit_status()) is not None:
                raise Crashed(f"The {self.name} crashed (exit status {status})") from None
            raise
        if response.status != 200:
            raise RuntimeError(f"{self.name} answered {request.path} with {response.status}: {answer[:200]!r}")
        return answer

    def wait_for(self, request: Request) -> None:
        """Return when this request is first answered with status 200."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self.send(request)
                return
            except (OSError, http.client.HTTPException, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def throughput(self, requests: Sequence[Request], clients: int) -> float:
        """Requests per second, sent by ``clients`` threads."""
        with ThreadPoolExecutor(clients) as pool:
            start = time.perf_counter()
            list(pool.map(self.send, requests))
            return len(requests) / (time.perf_counter() - start)

    def restart(self) -> None:
        """After a crash, start again on the same port and return when the service is ready."""
        self._process = self._start()
        self.wait_for(READY)

    def _exit_status(self) -> int | None:
        """The exit status, or None. A process that is killed closes its sockets shortly before it ends."""
        try:
            return self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def started(*names: str) -> Iterator[dict[str, Service]]:
    """These services, ready, until the block ends; without the naive service if its file is missing."""
    with ExitStack() as stack:
        services: dict[str, Service] = {}
        for name in names:
            if name != NAIVE or NAIVE_FILE.exists():
                services[name] = Service(name)
                stack.callback(services[name].stop)
        for service in services.values():
            service.wait_for(READY)
        yield services
