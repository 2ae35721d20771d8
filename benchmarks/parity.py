"""The distance of face128's descriptors from face_recognition's, photo by photo: fixtures and 500 faces of LFW."""

from __future__ import annotations

import io
from pathlib import Path

import face_recognition
import numpy as np
from PIL import ImageFile

from benchmarks.harness import LFW, ROOT, Figure, Report
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.photos.photo import open_photo

ImageFile.LOAD_TRUNCATED_IMAGES = False  # face_recognition sets it to True

MIN_FACES = 500
MAX_L2 = 1e-5


def measure() -> Report:
    report = Report()
    exact = DlibEngine(find_weights(), detection="exact")
    distances: list[float] = []
    miscounted = 0
    for path in [*sorted((ROOT / "fixtures" / "photos").iterdir()), *sorted(LFW.rglob("*.jpg"))]:
        ours, reference = _describe(exact, path)
        if len(ours) != len(reference):
            miscounted += 1
            continue
        distances += np.linalg.norm(ours - reference, axis=1).tolist() if len(reference) else []
        if len(distances) >= MIN_FACES:
            break
    if not LFW.exists():
        report.notes.append(
            f"Parity on {len(distances)} faces of fixtures/ only: ../{LFW.relative_to(ROOT.parent)} is missing."
        )
    report.figures += [
        Figure(
            f"exact detection, {len(distances)} faces: furthest from face_recognition",
            max(distances),
            "L2",
            at_most=MAX_L2,
        ),
        Figure("exact detection: photos with another number of faces", miscounted, "photos", at_most=0),
    ]
    return report


def _describe(engine: DlibEngine, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors (faces, 128) of face128 and of face_recognition, both in dlib's order."""
    data = path.read_bytes()
    photo = open_photo(data)
    ours = engine.describe(engine.crop(photo, engine.detect(photo)))
    reference = face_recognition.face_encodings(face_recognition.load_image_file(io.BytesIO(data)))
    return ours, np.array(reference).reshape(-1, 128)
