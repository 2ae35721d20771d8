"""``face128 serve --workers 2``, whose first process is killed: the others must not keep the port."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from serving import STARTUP_TIMEOUT_S, environment, free_port


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(port: int, serving: bool) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while answers(port) is not serving:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_whose_first_process_was_killed_can_be_started_again(tmp_path: Path) -> None:
    port = free_port()
    settings = {"PORT": str(port), "FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "face128", "serve", "--workers", "2"]
    for end in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, env=environment(**settings), stderr=subprocess.DEVNULL) as process:
            wait_until(port, serving=True)
            process.send_signal(end)
        wait_until(port, serving=False)
