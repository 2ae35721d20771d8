"""What face_recognition, or the module that stands in for it, returns for photos: as JSON, so that two can be compared.

Each is asked in a process of its own: with the settings of its environment, and because dlib's generator of jittered
copies goes on from call to call. ``recognised.py MODULE everything|encodings FILE ...``
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from serving import environment

SHIM, ORIGINAL = "face128.face_recognition", "face_recognition"
NUM_JITTERS = 3

What = Literal["everything", "encodings"]


def start(module: str, files: Sequence[Path], what: What = "everything", **settings: str) -> subprocess.Popen[bytes]:
    """A process that prints the results of a module; ``read`` waits for them."""
    command = [sys.executable, __file__, module, what, *map(str, files)]
    return subprocess.Popen(command, env=environment(**settings), stdout=subprocess.PIPE)


def read(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Of each photo its pixels' digest and its encodings, or everything."""
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0
    found: list[dict[str, Any]] = json.loads(output)
    return found


def _result(module: Any, file: str, what: str) -> dict[str, Any]:
    image = module.load_image_file(file)
    result = {
        "pixels": [image.shape, hashlib.sha256(image.tobytes()).hexdigest()],
        "encodings": [each.tolist() for each in module.face_encodings(image)],
    }
    if what == "everything":
        locations = module.face_locations(image)
        jittered = module.face_encodings(image, locations, NUM_JITTERS)
        result |= {
            "locations": locations,
            "landmarks": module.face_landmarks(image, locations, model="small"),
            "jittered": [each.tolist() for each in jittered],
        }
    return result


if __name__ == "__main__":
    name, what, *files = sys.argv[1:]
    print(json.dumps([_result(import_module(name), file, what) for file in files]))
