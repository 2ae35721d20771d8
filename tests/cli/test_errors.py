"""Every command with every wrong path, and with an output that nobody can write to or reads."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from forked_command import CLOSED, CLOSED_PIPE, forked
from people import photo_descriptor
from serving import PHOTOS, environment

GOOD = '{"model": "dlib-resnet-v1", "enrolled": [{"regNo": 7, "name": "Ann", "descriptor": null}]}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good inputs (enrolled.json, probe.json, photos, a gallery of two people) and bad ones."""
    folder = tmp_path_factory.mktemp("operator")
    descriptors = [photo_descriptor(name).tolist() for name in ("obama-2012.jpg", "biden-2010.jpg")]
    members = [{"regNo": i, "name": "Zoë", "descriptor": descriptor} for i, descriptor in enumerate(descriptors)]
    (folder / "enrolled.json").write_text(json.dumps(members))
    (folder / "probe.json").write_text(json.dumps(descriptors[0]))
    (folder / "photos").symlink_to(PHOTOS)
    (folder / "folder").mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(bytes(range(256)) * 20)
    (folder / "binary").chmod(0o600)  # it is named as a gallery too, which nobody else may read
    try:
        os.mknod(folder / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))  # as /dev/full, which root could replace
    except PermissionError:
        (folder / "full").symlink_to("/dev/full")
    (folder / "latin.csv").write_bytes("regNo,photo\nMüller,1.jpg\n".encode("latin-1"))
    run = forked(folder, "gallery", "import", "enrolled.json", FACE128_DATA=str(folder / "data"))
    assert run.returncode == 0, run.stderr
    return folder


def command(folder: Path, line: str, *, stdout: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    words = ["" if word == "''" else word for word in line.split()]
    return forked(folder, *words, stdout=stdout, **{"FACE128_DATA": str(folder / "data"), **settings})


def is_refused(run: subprocess.CompletedProcess[str], status: int = 2) -> bool:
    """Whether the command ended with this status and one sentence."""
    return run.returncode == status and run.stderr.count("\n") == 1 and run.stderr.startswith("face128: ")


INPUTS = ("missing", "folder", "empty/7.jpg", "/dev/zero", "binary", "empty", "latin.csv")


@pytest.mark.parametrize(
    "line",
    [
        "encode --engine fake {}",
        "match {} enrolled.json --engine fake",
        "match probe.json {}",
        "audit {}",
        "gallery import {}",
        "reencode {} --out out.json --engine fake",
        "calibrate {} --engine fake",
        "calibrate --gallery {}",
        "calibrate photos --pairs {} --engine fake",
        "evaluate {} photos --engine fake",
    ],
)
def test_a_wrong_input_is_one_sentence(folder: Path, line: str) -> None:
    for path in INPUTS:
        run = command(folder, line.format(path))
        assert is_refused(run, 1 if line.startswith("encode") else 2), (path, run)
        assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("line", "variable", "value"),
    [
        ("gallery list", "FACE128_DATA", "empty/data"),
        ("gallery list", "FACE128_DATABASE_URL", "sqlite:///binary"),
        ("gallery stats", "FACE128_DATABASE_URL", "sqlite:////proc/face128/gallery.sqlite"),
        ("gallery export out.json", "FACE128_DATABASE_URL", "mysql+pymysql://face128:s3cret@127.0.0.1:9/faces"),
        ("gallery erase 7", "FACE128_DATABASE_URL", "postgresql+psycopg://face128:s3cret@127.0.0.1:9/faces"),
        ("gallery import enrolled.json", "FACE128_DATABASE_URL", "mysql+pymysql://face128:s3cret@host:port/faces"),
        ("gallery list", "FACE128_DATABASE_URL", "s3cret"),
        ("gallery stats", "FACE128_MILVUS_URI", "htp://root:s3cret@127.0.0.1:9"),
        ("encode photos/obama-2012.jpg", "FACE128_WEIGHTS", "binary"),
        ("encode photos/obama-2012.jpg", "FACE128_WEIGHTS", "folder"),
        ("encode photos/obama-2012.jpg --engine faceapi", "FACE128_FACEAPI_MODELS", "binary"),
        ("encode photos/obama-2012.jpg --engine insightface", "FACE128_INSIGHTFACE_PACK", "empty/pack"),
        ("reencode photos --out out.json --engine fake", "FACE128_THREADS", "many"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_its_secret(folder: Path, line: str, variable: str, value: str) -> None:
    run = command(folder, line, **{variable: value})
    assert is_refused(run), run
    assert "s3cret" not in run.stderr
    assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        "",
        "photos --query SELECT",
        "photos --from-sql sqlite:///a --query SELECT",
        "--from-sql sqlite:///a",
        "--from-sql sqlite:///a --query SELECT --pattern {regNo}",
        "photos --write-back members.face",
        "photos --to sql --update members.face",
        "photos --to sql",
        "photos --columns regNo=a",
        "photos --photos photos",
        "photos --to xml",
    ],
)
def test_options_of_reencode_that_do_not_go_together_are_refused(folder: Path, options: str) -> None:
    run = command(folder, f"reencode --out out.json --engine fake {options}")
    assert run.returncode == 2, run
    assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("gallery export {}", ("folder", "''", "/", "empty/out.json", "missing/out.json", "full")),
        (
            "reencode photos --engine fake --out {}",
            ("folder", "''", "..", "empty/out.json", "missing/out.json", "full", "/dev/stdout", "out.posted"),
        ),
        ("audit enrolled.json --out {}", ("empty", "empty/out", "full")),
        ("calibrate --gallery enrolled.json --out {}", ("empty", "empty/out", "/proc/out")),
        ("calibrate photos --engine fake --out {}", ("empty", "photos/report")),
    ],
)
def test_a_wrong_output_is_one_sentence_and_nothing_is_replaced(folder: Path, line: str, wrong: tuple[str]) -> None:
    before = {path: path.lstat().st_mode for path in folder.iterdir()}
    for path in wrong:
        run = command(folder, line.format(path))
        assert is_refused(run), (path, run)
    assert {path: path.lstat().st_mode for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        "version",
        "--help",
        "gallery --help",
        "keys new backend",
        "encode photos/obama-2012.jpg --engine fake",
        "match probe.json enrolled.json",
        "audit enrolled.json",
        "audit enrolled.json --json",
        "calibrate --gallery enrolled.json",
        "gallery list",
        "gallery stats",
        "gallery export /dev/stdout",
        "doctor",
    ],
)
def test_an_output_on_a_full_disk_is_an_error_and_a_closed_pipe_ends_quietly(folder: Path, line: str) -> None:
    full = command(folder, line, stdout="/dev/full")
    assert is_refused(full), full
    assert "No space left" in full.stderr
    closed = command(folder, line, stdout=CLOSED_PIPE)
    assert (closed.returncode, closed.stderr) == (141, "")


def test_closed_streams_are_no_traceback(folder: Path) -> None:
    run = command(folder, "gallery stats", stdout=CLOSED)
    assert (run.returncode, run.stderr) == (0, "")


def test_an_export_to_a_pipe_is_the_file_alone(folder: Path) -> None:
    run = command(folder, "gallery export /dev/stdout")
    assert [member["name"] for member in json.loads(run.stdout)["enrolled"]] == ["Zoë", "Zoë"]
    assert run.stderr == "2 faces\n"


def test_an_export_of_nothing_leaves_the_file_that_is_there(folder: Path) -> None:
    (folder / "old.json").write_text(GOOD)
    run = command(folder, "gallery export old.json", FACE128_DATA=str(folder / "wrong-folder"))
    assert is_refused(run), run
    assert is_refused(command(folder, "gallery export old.json --model arcface-nonsense"))
    assert (folder / "old.json").read_text() == GOOD


def test_an_export_keeps_the_permissions_and_the_link_of_the_old_file(folder: Path) -> None:
    target = folder / "folder" / "target.json"
    target.write_text(GOOD)
    target.chmod(0o640)
    (folder / "link.json").symlink_to(target)
    assert command(folder, "gallery export link.json").returncode == 0
    assert (folder / "link.json").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert len(json.loads(target.read_text())["enrolled"]) == 2


def test_any_output_is_utf_8_whatever_the_locale(folder: Path) -> None:
    (line, _) = command(folder, "gallery list", LC_ALL="C", PYTHONIOENCODING="latin-1").stdout.splitlines()
    assert json.loads(line)["name"] == "Zoë"


def test_a_key_that_is_not_utf_8_is_refused(folder: Path) -> None:
    command = [sys.executable, "-m", "face128", "keys", "hash", "backend"]
    run: Any = subprocess.run(command, input=b"\xff" * 40, capture_output=True, env=environment(), timeout=120)
    assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.parametrize(
    ("tail", "status"), [("| true", 141), ("> /dev/full", 2), ("> /dev/full 2>&1", 2), (">&- 2>&-", 0)]
)
def test_a_shell_sees_the_exit_status(folder: Path, tail: str, status: int) -> None:
    line = f"{sys.executable} -m face128 gallery list {tail}; exit ${{PIPESTATUS[0]}}"
    settings = environment(FACE128_DATA=str(folder / "data"))
    run = subprocess.run(["bash", "-c", line], env=settings, capture_output=True, text=True, timeout=120)
    assert run.returncode == status
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


def test_ctrl_c_ends_a_command_at_once_and_quietly(folder: Path) -> None:
    os.mkfifo(folder / "waiting")
    line = [sys.executable, "-m", "face128", "gallery", "import", str(folder / "waiting")]
    settings = environment(FACE128_DATA=str(folder / "data"))
    with (
        # In the background of a shell script, Ctrl-C is ignored, by what such a script starts, too.
        subprocess.Popen(
            line,
            env=settings,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as process,
        (folder / "waiting").open("wb"),  # opens when the command reads
    ):
        time.sleep(0.5)  # until it reads
        for _ in range(10):  # Python sees a signal that comes just before a read only after it: Ctrl-C again
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                _, stderr = process.communicate(timeout=6)
                break
    assert (process.returncode, stderr) == (130, "")
