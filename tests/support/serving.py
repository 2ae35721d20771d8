"""Starts the real service, as an operator does, and gives an HTTP client for it."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

import httpx
from paths import FIXTURES

PHOTOS = FIXTURES / "photos"
STARTUP_TIMEOUT_S = STOP_TIMEOUT_S = 60  # seconds; a generous bound, not a measurement


def photo(name: str) -> bytes:
    return (PHOTOS / name).read_bytes()


FIRST_PORT, END_PORT = 12_000, 32_000  # below those that Linux itself gives out, to connections and for port 0


def _ports() -> Iterator[int]:
    """Each number once, for a long time; each of pytest-xdist's processes has its own."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    own = range(FIRST_PORT + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), END_PORT, processes)
    first = secrets.randbelow(len(own))  # another run on this machine has other numbers
    return itertools.cycle([*own[first:], *own[:first]])


_own_ports = _ports()


def free_port() -> int:
    """Nothing listens on it, and nobody else is given it before the caller's process does."""
    for port in _own_ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def environment(**settings: str) -> dict[str, str]:
    """The process's environment without anything that could be a setting, and these settings."""
    prefixes = ("FACE128_", "PORT", "API_KEY", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | settings


@contextmanager
def serving(
    headers: dict[str, str] | None = None, *, workers: int = 1, options: Sequence[str] = (), **settings: str
) -> Iterator[httpx.Client]:
    """``face128 serve`` with these settings until the block ends; it must then end by itself, with exit status 0."""
    with started(workers=workers, options=options, **settings) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOP_TIMEOUT_S) == 0


@contextmanager
def started(
    *,
    workers: int = 1,
    options: Sequence[str] = (),
    stderr: IO[bytes] | None = None,
    wait: str = "/ready",
    prefix: Sequence[str] = (),
    **settings: str,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process of ``face128 serve`` with these settings, and its port, once ``wait`` is answered with 200.

    Its log must be without a traceback, unless a file is given for it. ``prefix`` is a command that executes its
    arguments.
    """
    port = free_port()
    command = [*prefix, sys.executable, "-m", "face128", "serve", "--workers", str(workers), *options]
    folder = tempfile.TemporaryDirectory()  # its own gallery, unless the settings name one
    settings = {"FACE128_DATA": folder.name, **settings}
    log = stderr or tempfile.TemporaryFile()  # noqa: SIM115  (a pipe would fill: nobody reads while the service runs)
    process = subprocess.Popen(command, env=environment(PORT=str(port), **settings), stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert ready(client, process, wait), _text(log)
        yield process, port
        assert stderr or "Traceback" not in _text(log), _text(log)
    finally:
        process.kill()
        process.wait()
        if stderr is None:
            log.close()
        folder.cleanup()


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def ready(client: httpx.Client, process: subprocess.Popen[bytes], path: str) -> bool:
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get(path).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False
