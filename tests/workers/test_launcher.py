"""The process of the engines, started before the settings are known: it serves, or it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from serving import environment, started

from benchmarks.processes import tree
from face128 import __main__
from face128.workers import launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the process of the engines needs Linux")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> launcher.Started:
    started_ahead = launcher._launch(dlib=True)
    monkeypatch.setattr(launcher, "_ahead", started_ahead)
    return started_ahead


def commands(process: subprocess.Popen[bytes]) -> list[str]:
    return [Path(f"/proc/{each}/cmdline").read_bytes().replace(b"\0", b" ").decode() for each in tree(process.pid)]


def test_the_service_takes_the_process_that_was_started_ahead_and_no_other() -> None:
    with started(FACE128_THREADS="1") as (process, _):
        engines = [command for command in commands(process) if "fork_server" in command]
        assert len(engines) == 2  # and the worker that is forked from it
        assert all(", True)" in command for command in engines)


def test_where_the_settings_want_no_such_process_it_is_ended() -> None:
    settings = {"FACE128_ENGINES": "", "FACE128_PROVIDERS": "CPUExecutionProvider,AzureExecutionProvider"}
    with started(wait="/health", **settings) as (process, _):
        assert len(tree(process.pid)) == 1


def test_it_is_given_once(ahead: launcher.Started) -> None:
    assert launcher.start() is ahead
    process, control = launcher.start()
    assert process.pid != ahead[0].pid
    for each in (ahead, (process, control)):
        each[1].close()
        assert each[0].wait(timeout=30) == 0


def test_it_can_be_dropped(ahead: launcher.Started) -> None:
    launcher.drop()
    assert ahead[0].returncode is not None
    launcher.drop()


def test_it_says_nothing_and_ends_where_the_service_ends_before_it_has_settings() -> None:
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
    assert __main__._will_serve(arguments.split()) == guess


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
    assert __main__._will_serve(["serve"]) == guess
