"""Runs the command line in forks of a process that has imported it: faster than a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from serving import environment

CLOSED_PIPE, CLOSED = "a pipe that nobody reads", "closed"  # for ``stdout``, instead of a path

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "alembic.command",
        "dlib",
        "numpy.ma",
        "onnx",
        "psycopg",
        "pymysql",
        *(
            f"face128.{name}"
            for name in (
                "__main__",
                "cli.main",
                "cli.doctor",
                "cli.errors",
                "gallery.gallery",
                "gallery.transfer",
                "engines.fake",
                "match_body.parser",
                "onnx_runtime",
            )
        ),
        *(
            f"face128.jobs.{name}"
            for name in (
                "audit.audit",
                "calibrate.evaluate",
                "reencode.reencode",
                "reencode.descriptor_column",
                "report.reencoding",
            )
        ),
    ]
)


def start(
    folder: Path,
    arguments: Sequence[str | Path],
    streams: Sequence[str],
    variables: dict[str, str],
    *,
    in_terminal: bool = False,
    code: str = "",
) -> ForkServerProcess:
    """``face128`` in ``folder``; ``streams`` are the paths of stdin, stdout and stderr, or CLOSED, CLOSED_PIPE.

    ``in_terminal``: stdin is a pseudo-terminal, which becomes that of the command: its Ctrl-C interrupts it.
    ``code``: Python to run instead of ``face128``.
    """
    words = [str(argument) for argument in arguments]
    settings = environment(**variables)
    process = _forks.Process(target=_run, args=(words, settings, str(folder), streams, in_terminal, code))
    process.start()
    return process


def forked(
    folder: Path, *arguments: str | Path, stdout: str = "", code: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """``face128`` with these arguments in ``folder``; ``stdout`` is where its output goes."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as outputs:
        streams = [os.devnull, stdout or f"{outputs}/stdout", f"{outputs}/stderr"]
        process = start(folder, words, streams, settings, code=code)
        process.join(timeout=120)
        process.kill()
        assert process.exitcode is not None, f"face128 {words} does not end"
        texts = ["" if stdout else Path(streams[1]).read_text(encoding="utf-8"), Path(streams[2]).read_text()]
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _run(
    arguments: list[str], variables: dict[str, str], folder: str, streams: Sequence[str], in_terminal: bool, code: str
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    if in_terminal:
        os.setsid()  # the terminal that is opened next becomes that of this session
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in enumerate(streams):
        if path == CLOSED:
            os.close(number)
            continue
        if path == CLOSED_PIPE:
            reader, descriptor = os.pipe()
            os.close(reader)
        elif in_terminal and path == streams[0]:
            descriptor = os.open(path, os.O_RDWR)
        else:
            descriptor = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    sys.stdin, sys.stderr = open(0, closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.stdout = None if streams[1] == CLOSED else open(1, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["face128", *arguments]
    if code:
        exec(code, {})
        return

    from face128.__main__ import main

    main()
