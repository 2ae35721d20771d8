"""``face128 serve --workers 2`` while one of the two still loads: what the other can serve is not refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fake_photos import create_record, fake_photo
from serving import STARTUP_TIMEOUT_S, STOP_TIMEOUT_S, environment, free_port, ready

from face128.service.service import LOAD_WAIT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

CONNECTIONS = 30  # each may reach either worker


def children(parent: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(process.name)


def stop_one_that_loads(service: int) -> int:
    """Stop the process that loads the engines for one of the workers, before it has."""
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while time.monotonic() < deadline:
        for loading in (each for worker in children(service) for each in children(worker)):
            with suppress(OSError):
                if b"fork_server" in Path(f"/proc/{loading}/cmdline").read_bytes():
                    os.kill(loading, signal.SIGSTOP)
                    return loading
    raise AssertionError("No engines are being loaded.")


def test_a_worker_that_still_loads_takes_no_connection_from_one_that_is_ready(tmp_path: Path) -> None:
    port = free_port()
    settings = {"PORT": str(port), "FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "face128", "serve", "--workers", "2"]
    with subprocess.Popen(command, env=environment(**settings), stderr=subprocess.DEVNULL) as process:
        try:
            stopped = stop_one_that_loads(process.pid)
            end = time.monotonic() + LOAD_WAIT_S / 2
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url) as client:
                assert ready(client, process, "/ready")
            for number in range(CONNECTIONS):
                with httpx.Client(base_url=url, timeout=60) as client:
                    answer = create_record(client, fake_photo(number), f"Person {number}")
                    assert answer.status_code == 200 or time.monotonic() > end, answer.text
            os.kill(stopped, signal.SIGCONT)
            process.terminate()
            assert process.wait(timeout=STOP_TIMEOUT_S) == 0
        finally:
            process.kill()
