"""face128 and the naive service, started as an operator starts them, and a client as thin as Python has."""

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
NO_NAIVE = f"No comparison with the naive service: ../{NAIVE_FILE.relative_to(ROOT.parent)} is not there."
KEEP_ALIVE = 3  # seconds; uvicorn hangs up on a connection that has been idle for 5
PATIENCE = 120  # seconds until a service that does not answer is given up


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes | None = None
    content_type: str = "application/json"


HEALTH = Request("/health")
READY = Request("/ready")


def upload(photo: bytes) -> Request:
    """/encode-image with this photo."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="face.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + f"\r\n--{boundary}--\r\n".encode()
    return Request("/encode-image", body, f"multipart/form-data; boundary={boundary}")


class Crashed(Exception):
    """The service's process has ended by itself."""


class Service:
    """A running process; each thread that sends keeps a connection of its own to it."""

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
            NAIVE: ["uvicorn", "naive_service:app", "--app-dir", str(NAIVE_FILE.parent), *port],
        }
        command, silent = [sys.executable, "-m", *serve[self.name]], subprocess.DEVNULL
        return subprocess.Popen(command, cwd=ROOT, env=environment(**self._settings), stdout=silent, stderr=silent)

    @property
    def process_id(self) -> int:
        return self._process.pid

    def send(self, request: Request) -> bytes:
        """The answer's body. Raises RuntimeError unless it is a 200, Crashed, OSError where nobody listens (yet)."""
        local = self._local
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        elif time.monotonic() - local.used > KEEP_ALIVE:
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
            if (status := self._ended()) is not None:
                raise Crashed(f"The {self.name} crashed (exit status {status})") from None
            raise
        if response.status != 200:
            raise RuntimeError(f"{self.name} answered {request.path} with {response.status}: {answer[:200]!r}")
        return answer

    def wait_for(self, request: Request) -> None:
        """Return when this request is first answered with a 200."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.send(request)
                return
            except (OSError, http.client.HTTPException, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def throughput(self, requests: Sequence[Request], clients: int) -> float:
        """Requests a second, sent by so many clients at once."""
        with ThreadPoolExecutor(clients) as pool:
            start = time.perf_counter()
            list(pool.map(self.send, requests))
            return len(requests) / (time.perf_counter() - start)

    def restart(self) -> None:
        """After a crash: start again on the same port, and return when it is ready."""
        self._process = self._start()
        self.wait_for(READY)

    def _ended(self) -> int | None:
        """The process's exit status. A process that is being killed closes its sockets a moment before it has ended."""
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
    """These services (the naive one only where its file is there), ready, until the block ends."""
    with ExitStack() as stack:
        services: dict[str, Service] = {}
        for name in names:
            if name != NAIVE or NAIVE_FILE.exists():
                services[name] = Service(name)
                stack.callback(services[name].stop)
        for service in services.values():
            service.wait_for(READY)
        yield services
