"""No process of face128 reports to anybody: none connects, resolves a name or leaves a file unless it was told to."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from paths import ROOT
from serving import environment, photo, started

CALLS = "connect,sendto,sendmsg,sendmmsg"
PEER = re.compile(r'sa_family=AF_INET6?, .*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)')
# ONNX Runtime reports nothing where it believes that it is tested.
HIDDEN = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME", "XDG_DATA_HOME")


@pytest.fixture
def traced(tmp_path: Path) -> tuple[list[str], Path, Path]:
    """A command that executes its arguments in an empty home folder, the folder, and the trace of what they send."""
    if not shutil.which("strace"):
        assert not os.environ.get("REQUIRE_SERVERS"), "strace is missing"
        pytest.skip("strace is missing")
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    unset = [word for name in HIDDEN for word in ("-u", name)]
    # -D: the traced process stays the child of this one, and gets its signals.
    strace = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(trace),
    ]
    return ["env", *unset, f"HOME={home}", *strace, "-o", str(trace)], home, trace


def peers(trace: Path) -> set[str]:
    return set(PEER.findall(trace.read_text())) - {"127.0.0.1", "::1"}


def files(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_a_service_that_encodes_and_matches_asks_nobody(traced: tuple[list[str], Path, Path]) -> None:
    prefix, home, trace = traced
    with started(prefix=prefix) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            encoding = client.post("/encode-image", files={"image": photo("obama-2009.jpg")}).json()
            member = {"regNo": 1, "name": "A", "descriptor": encoding["descriptor"]}
            body = {"descriptor": encoding["descriptor"], "enrolled": [member]}
            assert client.post("/match", json=body).json() == {"regNo": 1, "name": "A"}
            assert client.post("/match_face", files={"image": photo("obama-2009.jpg")}).status_code == 200
        process.send_signal(signal.SIGTERM)  # what is collected is sent at the end
        assert process.wait(60) == 0
    assert peers(trace) == set()
    assert files(home) == []


@pytest.mark.parametrize("command", ["reencode", "calibrate", "gallery"])
def test_a_command_asks_nobody(traced: tuple[list[str], Path, Path], command: str, tmp_path: Path) -> None:
    prefix, home, trace = traced
    people = tmp_path / "people"
    for number, names in enumerate([("obama-2009.jpg", "obama-2010.jpg"), ("biden-2010.jpg", "hopper-1984.jpg")]):
        (people / str(number)).mkdir(parents=True)
        for name in names:
            (people / str(number) / name).write_bytes(photo(name))
    arguments = {
        "reencode": [str(people), "--out", str(tmp_path / "members.json")],
        "calibrate": [str(people), "--json"],
        "gallery": ["list"],
    }[command]
    run = subprocess.run(
        [*prefix, sys.executable, "-m", "face128", command, *arguments],
        env=environment(FACE128_DATA=str(tmp_path / "data"), FACE128_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert peers(trace) == set()
    assert files(home) == []


def test_one_module_imports_onnx_runtime_and_turns_its_reports_off_before() -> None:
    imports = [
        (path, node.lineno)
        for path in (ROOT / "face128").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] == "onnxruntime"
    ]
    silent = ROOT / "face128/onnx_runtime.py"
    assert {path for path, _ in imports} == {silent}
    lines = silent.read_text().splitlines()
    assert lines.index('os.environ["ORT_DISABLE_TELEMETRY"] = "1"') < min(line for _, line in imports) - 1


@pytest.mark.parametrize("file", ["Dockerfile", "deploy/face128.service"])
def test_the_image_and_the_unit_turn_them_off_too(file: str) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / file).read_text()
