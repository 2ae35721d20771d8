"""face-api.js itself, the reference: running under Node, or the golden vectors that it wrote.

make faceapi                             installs it (npm, 370 MB)
python tests/support/faceapi_truth.py    writes fixtures/faceapi/golden.json
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from paths import FIXTURES, TESTS

from face128.engines.faceapi.engine import FaceapiEngine
from face128.photos.photo import open_photo

FOLDER = TESTS / "faceapi_golden"
MODELS = FOLDER / "node_modules" / "@vladmandic" / "face-api" / "model"
GOLDEN = FIXTURES / "faceapi" / "golden.json"
PHOTOS = sorted((FIXTURES / "photos").glob("*.[jp][pn]g"))

PIPELINES = tuple(product(("ssd", "tiny"), ("tensor", "canvas")))
"""(detector, scaling)"""


@dataclass(frozen=True)
class ReferenceFace:
    """One face as face-api.js describes it."""

    box: npt.NDArray[np.float64]
    score: float
    landmarks: npt.NDArray[np.float64]
    descriptor: npt.NDArray[np.float32]

    @classmethod
    def from_json(cls, face: dict[str, Any]) -> ReferenceFace:
        descriptor = np.frombuffer(base64.b64decode(face["descriptor"]), "<f4")
        return cls(np.array(face["box"]), face["score"], np.array(face["landmarks"]), descriptor)


class FaceapiNode:
    """The npm package in a Node process."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._pixels = folder / "pixels"

    def request(self, rgb: npt.NDArray[np.uint8], detector: str, scaling: str, **options: float) -> dict[str, Any]:
        """The process's reply as JSON: see faceapi_golden/describe.cjs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        rgb.tofile(self._pixels)
        height, width = rgb.shape[:2]
        request = {"file": str(self._pixels), "width": width, "height": height, "detector": detector, "input": scaling}
        print(json.dumps(request | {"options": options}), file=self._process.stdin, flush=True)
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        return reply

    def find(self, rgb: npt.NDArray[np.uint8], detector: str, scaling: str, **options: float) -> list[ReferenceFace]:
        return [ReferenceFace.from_json(face) for face in self.request(rgb, detector, scaling, **options)["faces"]]


@contextmanager
def running_node() -> Iterator[FaceapiNode]:
    """face-api.js with its networks loaded, until the block ends. Call models() first."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["node", "describe.cjs"]
        process = subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield FaceapiNode(process, Path(folder))
        finally:
            process.kill()
            process.wait()


def models() -> Path:
    """The folder of face-api.js's models. If it is missing, skips the test, or fails it with REQUIRE_FACEAPI=1."""
    if not (MODELS.is_dir() and shutil.which("node")):
        reason = "face-api.js is not installed: make faceapi"
        pytest.fail(reason) if os.environ.get("REQUIRE_FACEAPI") else pytest.skip(reason)
    return MODELS


@cache
def engine(detector: str = "ssd", scaling: str = "canvas") -> FaceapiEngine:
    return FaceapiEngine(models(), detector, scaling)  # type: ignore[arg-type]


def golden(name: str, detector: str, scaling: str) -> list[ReferenceFace]:
    """face-api.js's faces in a photo of fixtures/."""
    photo = json.loads(GOLDEN.read_text())[name]
    assert photo["pixels"] == _checksum(fixture_pixels(name)), (
        "this decoder gives other pixels than the one that wrote the golden vectors"
    )
    return [ReferenceFace.from_json(face) for face in photo[f"{detector}-{scaling}"]]


def fixture_pixels(name: str) -> npt.NDArray[np.uint8]:
    return file_pixels(PHOTOS[0].parent / name)


def file_pixels(path: Path) -> npt.NDArray[np.uint8]:
    return open_photo(path.read_bytes()).rgb()


def _checksum(rgb: npt.NDArray[np.uint8]) -> str:
    return hashlib.sha256(rgb.tobytes()).hexdigest()


def _write_golden() -> None:
    with running_node() as faceapi:
        photos = {}
        for path in PHOTOS:
            rgb = fixture_pixels(path.name)
            photos[path.name] = {"pixels": _checksum(rgb)} | {
                f"{detector}-{scaling}": faceapi.request(rgb, detector, scaling)["faces"]
                for detector, scaling in PIPELINES
            }
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(photos, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    _write_golden()
