"""A real nginx in front of a service, in a temporary folder and on a port of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from database_servers import skip_missing
from serving import free_port

STARTUP_TIMEOUT_S = 30  # generous: a test does not measure it
# `user` counts where the tests run as root: the worker shall write the folder too. Everything else is Debian's default.
CONFIGURATION = """\
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
  server {{
    listen 127.0.0.1:{port};
    {server}
  }}
}}
"""


@contextmanager
def nginx(server: str, http: str = "") -> Iterator[int]:
    """nginx with these directives in its ``server`` and ``http`` blocks until the block ends; gives its port.

    Skips the test where nginx is not installed.
    """
    command = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if command is None:
        skip_missing("nginx")
    assert command is not None
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(CONFIGURATION.format(folder=folder, port=port, server=server, http=http))
        process = subprocess.Popen(
            [command, "-p", folder, "-c", str(configuration), "-g", "daemon off;"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(process, port, Path(folder, "error.log"))
            yield port
        finally:
            process.terminate()  # ends its worker too
            process.wait(STARTUP_TIMEOUT_S)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"nginx did not start: {log.read_text() if log.exists() else ''}")
