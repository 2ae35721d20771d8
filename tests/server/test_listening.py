"""FACE128_HOST: which addresses are listened on, and that ``face128 health`` asks one of them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from serving import STARTUP_TIMEOUT_S, environment, free_port, started

from face128.errors import ConfigurationError
from face128.server.listening import bind
from face128.settings import Settings, load_settings


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


@contextmanager
def bound(host: str) -> Iterator[list[socket.socket]]:
    sockets = bind(host, free_port())
    try:
        yield sockets
    finally:
        for listening in sockets:
            listening.close()


@ipv6
@pytest.mark.parametrize(("host", "workers"), [("::", 1), ("[::]", 2)])
def test_every_address_of_both_families_is_served(host: str, workers: int) -> None:
    settings = {"FACE128_ENGINES": "fake", "FACE128_HOST": host, "FACE128_ALLOW_ANONYMOUS": "1"}
    with started(workers=workers, **settings) as (_, port):
        for address in ("127.0.0.1", "[::1]", "127.0.0.2"):
            assert httpx.get(f"http://{address}:{port}/health", timeout=60).status_code == 200
        assert _health(port, FACE128_HOST=host).returncode == 0


@ipv6
def test_a_client_of_ipv4_keeps_its_address() -> None:
    with bound("::") as sockets:
        assert {listening.family for listening in sockets} == {socket.AF_INET, socket.AF_INET6}
        of_ipv4 = next(listening for listening in sockets if listening.family == socket.AF_INET)
        with socket.create_connection(("127.0.0.1", of_ipv4.getsockname()[1])):
            connection, (address, _) = of_ipv4.accept()
            connection.close()
        assert address == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "host", "is_loopback"),
    [
        ("[::]", "::", False),
        ("0:0:0:0:0:0:0:0", "::", False),
        ("[::1]", "::1", True),
        ("[localhost]", "localhost", True),
        ("localhost", "localhost", True),
        ("0.0.0.0", "0.0.0.0", False),
        ("face.internal", "face.internal", False),
    ],
)
def test_a_host_may_be_in_brackets(monkeypatch: pytest.MonkeyPatch, given: str, host: str, is_loopback: bool) -> None:
    monkeypatch.setenv("FACE128_HOST", given)
    settings = Settings(api_keys=())
    assert settings.host == host
    assert settings.on_loopback is is_loopback
    if is_loopback:
        settings.check_exposure()
    else:
        with pytest.raises(ConfigurationError):
            settings.check_exposure()


@pytest.mark.parametrize("host", ["[::", "::1]", "[]", "127.0.0.1:8000", "http://localhost", "a b", "no-such.invalid"])
def test_a_host_that_is_none_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("FACE128_HOST", host)
    with pytest.raises(ConfigurationError, match="FACE128_HOST"):
        bind(load_settings().host, free_port())


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with bound("127.0.0.1") as sockets:
        taken = str(sockets[0].getsockname()[1])
        done = _face128("serve", PORT=taken, FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path))
    assert done.returncode == 2
    assert f"port {taken}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_health_check_asks_the_address_that_is_listened_on(tmp_path: Path) -> None:
    port, host = free_port(), "[::1]" if _has_ipv6() else "127.0.0.2"
    settings = {"FACE128_HOST": host, "FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "face128", "serve"]
    with subprocess.Popen(command, env=environment(PORT=str(port), **settings), stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + STARTUP_TIMEOUT_S
            while _health(port, FACE128_HOST=host).returncode:
                assert time.monotonic() < deadline
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/health")
        finally:
            process.send_signal(signal.SIGTERM)
    down = _health(port, FACE128_HOST=host)
    assert down.returncode == 1
    assert "does not answer" in down.stderr


def _health(port: int, **settings: str) -> subprocess.CompletedProcess[str]:
    # A proxy for everything else must not be asked.
    return _face128("health", PORT=str(port), HTTP_PROXY="http://127.0.0.1:1", **settings)


def _face128(command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "face128", command],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=STARTUP_TIMEOUT_S,
    )
