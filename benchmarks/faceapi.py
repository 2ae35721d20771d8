"""face-api.js's pipeline here beside the npm package itself under Node (wasm), on the same pixels; and its memory.

Each side runs on one thread; both take turns, photo by photo. Decoding is counted on neither side.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from faceapi_truth import MODELS, PHOTOS, PIPELINES, FaceapiNode, ReferenceFace, file_pixels, running_node

from benchmarks.harness import LFW, Figure, Report, medians, milliseconds
from face128.domain.descriptors import Descriptors
from face128.engines.faceapi.engine import FaceapiEngine
from face128.photos.photo import RGB, Photo

COUNT = 20
NODE = "the npm package under Node (wasm)"
GOAL = 3.0
MEMORY_GOAL = 120.0

# In a process of its own: what memory grows by beside dlib's engine, first by loading, then by one photo in one thread.
MEMORY = """
import sys
from face128.encoding.encode import encode
from face128.engines.loader import load_engine
from face128.photos.photo import Limits
from face128.encoding.self_test import self_test_photo
from face128.settings import Settings
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
settings = Settings(faceapi_models=sys.argv[1])
encode(load_engine("dlib", settings), self_test_photo(), Limits())
assert not [name for name in sys.modules if "faceapi" in name]
before = resident()
engine = load_engine("faceapi", settings)
loaded = resident()
encode(engine, self_test_photo(), Limits())
print(loaded - before, resident() - before)
"""


def measure() -> Report:
    if not MODELS.is_dir() or shutil.which("node") is None:
        return Report(notes=["Not compared with face-api.js: it is not installed here (make faceapi; needs Node)."])
    report = Report()
    apart: list[float] = []
    photos = _photos()
    with running_node() as package:
        for detector, scaling in PIPELINES:
            engine = FaceapiEngine(MODELS, detector, scaling)  # type: ignore[arg-type]
            times: dict[str, list[float]] = defaultdict(list)
            for turn, rgb in enumerate([photos[0], *photos]):  # both warm up with the first
                theirs, ours, differences = _race(package, engine, rgb, detector, scaling)
                if turn:
                    times[NODE].append(theirs)
                    times["face128"].append(ours)
                    apart += differences
            typical = medians(times)
            what = f"a photo by face-api.js's model, {detector}, {scaling}"
            report.figures.append(Figure(what, typical["face128"], "ms", NODE, typical[NODE], GOAL))
    worst = max(apart)
    report.figures.append(Figure(f"L2 between the two, at most, {len(apart)} faces", worst, "", at_most=1e-5))
    if Path("/proc/self/statm").exists():
        loaded, used = _memory()
        report.figures += [
            Figure("memory for the engine faceapi beside dlib's, loaded", loaded, "MB", at_most=MEMORY_GOAL),
            Figure("memory, loaded and used by one thread", used, "MB", at_most=MEMORY_GOAL),
        ]
    return report


def _race(
    package: FaceapiNode, engine: FaceapiEngine, rgb: RGB, detector: str, scaling: str
) -> tuple[float, float, list[float]]:
    """Their milliseconds, ours, and how far each face's descriptors lie apart."""
    found: list[Descriptors] = []

    def run() -> None:
        photo = Photo.from_rgb(rgb)
        found.append(engine.describe(engine.crop(photo, engine.detect(photo))))

    answer = package.request(rgb, detector, scaling)
    took = milliseconds(run)
    truths = [ReferenceFace.from_json(face).descriptor for face in answer["faces"]]
    pairs = zip(found[0], truths, strict=True)
    return answer["ms"], took, [float(np.linalg.norm(ours - truth)) for ours, truth in pairs]


def _photos() -> list[RGB]:
    """Those of fixtures/photos and, where it is there, of LFW."""
    lfw = sorted(LFW.rglob("*.jpg"))
    return [file_pixels(path) for path in (PHOTOS + lfw[:: max(1, len(lfw) // COUNT)])[:COUNT]]


def _memory() -> tuple[float, float]:
    command = [sys.executable, "-c", MEMORY, str(MODELS)]
    loaded, used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(loaded), float(used)
