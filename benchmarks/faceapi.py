"""The face-api.js engine, compared with the npm package under Node (wasm) on the same pixels; and its memory.

Each side runs on one thread; they take turns, photo by photo. Decoding is not measured.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from faceapi_truth import MODELS, PHOTOS, PIPELINES, FaceapiNode, ReferenceFace, file_pixels, running_node

from benchmarks.harness import LFW, Figure, Report, medians, time_ms
from face128.domain.descriptors import Descriptors
from face128.engines.faceapi.engine import FaceapiEngine
from face128.photos.photo import RGB, Photo

PHOTO_COUNT = 20
NODE = "the npm package under Node (wasm)"
MIN_SPEEDUP = 3.0
MAX_MEMORY_MB = 120.0

# Runs in its own process. Prints the MB that the engine adds to dlib's: when loaded, and after one photo in one thread.
MEMORY_SCRIPT = """
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
    distances: list[float] = []
    photos = _photos()
    with running_node() as package:
        for detector, scaling in PIPELINES:
            engine = FaceapiEngine(MODELS, detector, scaling)  # type: ignore[arg-type]
            times: dict[str, list[float]] = defaultdict(list)
            for turn, rgb in enumerate([photos[0], *photos]):  # the first only warms up
                node_ms, face128_ms, photo_distances = _compare(package, engine, rgb, detector, scaling)
                if turn:
                    times[NODE].append(node_ms)
                    times["face128"].append(face128_ms)
                    distances += photo_distances
            typical = medians(times)
            what = f"a photo by face-api.js's model, {detector}, {scaling}"
            report.figures.append(Figure(what, typical["face128"], "ms", NODE, typical[NODE], MIN_SPEEDUP))
    report.figures.append(
        Figure(f"L2 between the two, at most, {len(distances)} faces", max(distances), "", at_most=1e-5)
    )
    if Path("/proc/self/statm").exists():
        loaded, used = _engine_memory_mb()
        report.figures += [
            Figure("memory for the engine faceapi beside dlib's, loaded", loaded, "MB", at_most=MAX_MEMORY_MB),
            Figure("memory, loaded and used by one thread", used, "MB", at_most=MAX_MEMORY_MB),
        ]
    return report


def _compare(
    package: FaceapiNode, engine: FaceapiEngine, rgb: RGB, detector: str, scaling: str
) -> tuple[float, float, list[float]]:
    """Milliseconds of the package and of face128, and the L2 distance between each face's two descriptors."""
    results: list[Descriptors] = []

    def run() -> None:
        photo = Photo.from_rgb(rgb)
        results.append(engine.describe(engine.crop(photo, engine.detect(photo))))

    answer = package.request(rgb, detector, scaling)
    face128_ms = time_ms(run)
    references = [ReferenceFace.from_json(face).descriptor for face in answer["faces"]]
    pairs = zip(results[0], references, strict=True)
    return answer["ms"], face128_ms, [float(np.linalg.norm(ours - reference)) for ours, reference in pairs]


def _photos() -> list[RGB]:
    """Photos of fixtures/photos and, if it is there, of LFW."""
    lfw = sorted(LFW.rglob("*.jpg"))
    return [file_pixels(path) for path in (PHOTOS + lfw[:: max(1, len(lfw) // PHOTO_COUNT)])[:PHOTO_COUNT]]


def _engine_memory_mb() -> tuple[float, float]:
    """When loaded, and after use by one thread."""
    command = [sys.executable, "-c", MEMORY_SCRIPT, str(MODELS)]
    loaded, used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(loaded), float(used)
