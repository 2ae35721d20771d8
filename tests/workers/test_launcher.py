"""The fork server that is started before the settings are known: it is used, or it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from serving import environment, started

from benchmarks.processes import process_tree
from face128 import __main__
from face128.workers import launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> launcher.ForkServerProcess:
    monkeypatch.setattr(launcher, "_early", None)
    launcher.launch_early()
    assert launcher._early is not None
    return launcher._early


def commands(process: subprocess.Popen[bytes]) -> list[str]:
    return [
        Path(f"/proc/{each}/cmdline").read_bytes().replace(b"\0", b" ").decode() for each in process_tree(process.pid)
    ]


def test_the_service_uses_the_process_that_was_started_early_and_no_other() -> None:
    with started(FACE128_THREADS="1") as (process, _):
        found = [command for command in commands(process) if "fork_server" in command]
        assert len(found) == 2  # and the worker that is forked from it
        assert all(", True)" in command for command in found)


def test_where_the_settings_want_no_such_process_it_is_ended() -> None:
    settings = {"FACE128_ENGINES": "", "FACE128_PROVIDERS": "CPUExecutionProvider,AzureExecutionProvider"}
    with started(wait="/health", **settings) as (process, _):
        assert len(process_tree(process.pid)) == 1


def test_it_is_used_once_and_ends_when_the_service_hangs_up(early: launcher.ForkServerProcess) -> None:
    assert launcher.launch() is early
    other = launcher.launch()
    assert other.process.pid != early.process.pid
    for each in (early, other):
        each.control.close()
        assert each.process.wait(timeout=30) == 0


def test_it_can_be_dropped(early: launcher.ForkServerProcess) -> None:
    launcher.drop_early()
    assert early.process.returncode is not None
    launcher.drop_early()


def test_it_prints_nothing_and_ends_where_the_service_ends_before_it_has_settings() -> None:
    command = [sys.executable, "-m", "face128", "serve", "--port", "nonsense"]
    run = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60
    )  # waits for the pipe's end
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        ("serve", True),
        ("serve --port 8001", True),
        ("serve --workers 1", True),
        ("serve --workers=1 --host ::1", True),
        ("serve --workers 2", False),
        ("serve --workers=2", False),
        ("serve --workers", False),
        ("serve --help", False),
        ("encode photo.jpg", False),
        ("", False),
    ],
)
def test_it_is_started_for_a_service_in_one_process(
    arguments: str, guess: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FACE128_ISOLATION", "FACE128_ENGINES"):
        monkeypatch.delenv(name, raising=False)
    assert __main__._will_need_dlib_fork_server(arguments.split()) == guess


@pytest.mark.parametrize(
    ("name", "value", "guess"),
    [
        ("FACE128_ISOLATION", "thread", False),
        ("FACE128_ISOLATION", "process", True),
        ("FACE128_ENGINES", "fake", False),
        ("FACE128_ENGINES", "dlib", True),
    ],
)
def test_settings_that_are_seen_without_any_import_are_heeded(
    name: str, value: str, guess: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert __main__._will_need_dlib_fork_server(["serve"]) == guess
