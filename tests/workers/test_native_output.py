"""What libtiff writes to stderr about a damaged photo is no line of its own in the log of a service or a command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from PIL import Image
from serving import environment, started


@pytest.fixture(scope="module")
def damaged_tiff() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((300, 300), 50).convert("RGB").save(file, "TIFF", compression="tiff_lzw")
    data = bytearray(file.getvalue())
    middle = slice(len(data) // 2, len(data) // 2 + 400)
    data[middle] = bytes(byte ^ 0x5A for byte in data[middle])
    return bytes(data)


def decode_in_new_process(data: bytes, prefix: str) -> str:
    """What the process writes to stderr."""
    code = (
        f"import sys; {prefix}; from face128.photos.photo import open_photo; open_photo(sys.stdin.buffer.read()).rgb()"
    )
    run = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    return run.stderr.decode()


def test_libtiff_writes_past_python_and_it_can_be_silenced(damaged_tiff: bytes) -> None:
    noise = "Using code not yet in table"
    assert noise in decode_in_new_process(damaged_tiff, "pass")
    silenced = decode_in_new_process(damaged_tiff, "from face128.logs import silence_native_output as f; f()")
    assert noise not in silenced
    assert "BadImage" in silenced  # Python's own traceback is still there


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_the_log_of_a_service_has_records_alone(damaged_tiff: bytes, isolation: str) -> None:
    settings = {
        "FACE128_ENGINES": "fake",
        "FACE128_ISOLATION": isolation,
        "FACE128_LOG_FORMAT": "json",
        "FACE128_LOG_LEVEL": "debug",
    }
    with tempfile.TemporaryFile() as log:
        with started(stderr=log, **settings) as (_, port):
            answer = httpx.post(f"http://127.0.0.1:{port}/encode-image", files={"image": damaged_tiff}, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_image")
        log.seek(0)
        records = [json.loads(line) for line in log]
    native = [record for record in records if "Using code not yet in table" in record["message"]]
    assert [record["level"] for record in native] == (["debug"] if isolation == "process" else [])


def test_a_command_says_its_own_sentence_alone(damaged_tiff: bytes, tmp_path: Path) -> None:
    photo = tmp_path / "damaged.tif"
    photo.write_bytes(damaged_tiff)
    command = [sys.executable, "-m", "face128", "encode", "--engine", "fake", str(photo)]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "bad_image" in run.stderr
