"""Runs the wheel in dist/ as somebody does who has never seen face128: by pip, pipx and uvx, from an index.

    python release/try_wheel.py python3.11 python3.12 python3.13

The index is a folder served on loopback; everything else comes from the usual one. Each run starts with an empty home,
and with no compiler on PATH: whatever has no wheel and needs one fails here. Then it serves, a photo is encoded, and
``face128 doctor`` must find nothing wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "fixtures" / "photos" / "obama-2009.jpg"
# Nobody, not even root, can write there.
READ_ONLY = Path("/proc")
# What the scripts start that pip and uv write for a program in a long path. No compiler, and no make.
PROGRAMS = ("sh", "env", "realpath", "dirname")
# pipx and uvx install before they serve: some 300 MB.
READY_TIMEOUT_S = 900
STOP_TIMEOUT_S = 60
DESCRIPTOR_NUMBERS = 128
# What the package clients need of their settings: certificates and mirrors.
CLIENT_SETTINGS = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "LANG", "LC_")


def main(pythons: Sequence[str]) -> None:
    (wheel,) = (ROOT / "dist").glob("face128-*.whl")
    for python in pythons:
        interpreter = shutil.which(python)
        if interpreter is None:
            sys.exit(f"{python} is not installed")
        with tempfile.TemporaryDirectory() as name, index(wheel, Path(name)) as url:
            for way in (by_pip, by_pipx, by_uvx):
                home = Path(name) / way.__name__
                home.mkdir()
                start = time.monotonic()
                command, folder, environment = way(interpreter, home, clean_environment(home, url))
                try_out(command, folder, environment, wheel.name.split("-")[1])
                print(f"{python} {way.__name__}: serves, encodes, doctor finds nothing wrong ", end="")
                print(f"({time.monotonic() - start:.0f} s)", flush=True)


@contextmanager
def index(wheel: Path, folder: Path) -> Iterator[str]:
    """The URL of a package index (PEP 503) that has only this wheel."""
    project = folder / "simple" / "face128"
    project.mkdir(parents=True)
    shutil.copy(wheel, project)
    (project / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The package clients tell what they miss."""


def clean_environment(home: Path, url: str) -> dict[str, str]:
    """Without settings of face128, without a compiler, and with nothing that was installed before."""
    programs = home / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(CLIENT_SETTINGS)}
    more = f"{kept.get('PIP_EXTRA_INDEX_URL', '')} {url}".strip()
    own = {"HOME": str(home), "PATH": str(programs), "PIP_EXTRA_INDEX_URL": more, "UV_INDEX": url}
    return kept | own | {"PIPX_DEFAULT_BACKEND": "pip"}  # uvx is tried by itself


def by_pip(python: str, home: Path, environment: dict[str, str]) -> tuple[list[str], Path, dict[str, str]]:
    """In a virtual environment, from a folder that nobody can write."""
    subprocess.run([python, "-m", "venv", str(home / "venv")], env=environment, check=True)
    install = [str(home / "venv/bin/python"), "-m", "pip", "install", "--quiet", "face128"]
    subprocess.run(install, env=environment, check=True)
    return [str(home / "venv/bin/face128")], READ_ONLY, environment


def by_pipx(python: str, home: Path, environment: dict[str, str]) -> tuple[list[str], Path, dict[str, str]]:
    return [sys.executable, "-m", "pipx", "run", "--python", python, "face128"], empty(home), environment


def by_uvx(python: str, home: Path, environment: dict[str, str]) -> tuple[list[str], Path, dict[str, str]]:
    return [sys.executable, "-m", "uv", "tool", "run", "--python", python, "face128"], empty(home), environment


def empty(home: Path) -> Path:
    folder = home / "folder"
    folder.mkdir()
    return folder


def try_out(command: Sequence[str], folder: Path, environment: dict[str, str], version: str) -> None:
    """Serve, encode a photo and ask doctor, all from this folder; exit with what was printed where something fails."""
    before = set(folder.iterdir()) if folder != READ_ONLY else set()
    port = free_port()
    with tempfile.TemporaryFile() as log:
        service = subprocess.Popen(
            [*command, "serve"], cwd=folder, env=environment | {"PORT": str(port)}, stdout=log, stderr=log
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                wait_until_ready(client, service)
                expect(client.get("/health").json()["version"] == version, "the version is another one")
                answer = client.post("/encode-image", files={"image": PHOTO.read_bytes()})
                expect(len(answer.json().get("descriptor", ())) == DESCRIPTOR_NUMBERS, answer.text)
            service.send_signal(signal.SIGTERM)
            expect(service.wait(STOP_TIMEOUT_S) == 0, f"it ended with {service.returncode}")
        except (Failed, httpx.HTTPError, subprocess.TimeoutExpired) as problem:
            log.seek(0)
            sys.exit(f"{' '.join(command)}: {problem}\n{log.read().decode(errors='replace')}")
        finally:
            service.kill()
            service.wait()
    doctor = subprocess.run([*command, "doctor"], cwd=folder, env=environment, capture_output=True, text=True)
    if doctor.returncode:
        sys.exit(f"{' '.join(command)} doctor: exit status {doctor.returncode}\n{doctor.stdout}{doctor.stderr}")
    if folder != READ_ONLY and set(folder.iterdir()) != before:
        sys.exit(f"{' '.join(command)} left files in the folder it was started from")


class Failed(Exception):
    """Something is not as it must be."""


def expect(true: bool, otherwise: str) -> None:
    if not true:
        raise Failed(otherwise)


def wait_until_ready(client: httpx.Client, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        expect(service.poll() is None, f"it ended with {service.returncode} before it was ready")
        try:
            if client.get("/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise Failed("it was not ready in time")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
