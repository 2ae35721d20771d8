"""face128.face_recognition, compared with the package face_recognition on the same photos, in one process.

Each photo is loaded and encoded by both, in turns. What they return is compared: in exact mode every bit, in the fast
mode, the default, how many faces there are and how far apart the encodings are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

import face128.face_recognition as shim
from benchmarks.harness import LFW, Figure, Report, medians, time_ms
from benchmarks.photos import portraits
from face128.face_recognition import api
from face128.face_recognition.models import Models
from face128.settings import Settings

LFW_PHOTOS = 100  # tests/face_recognition compares 200
PORTRAITS = {1: 10, 11: 3}  # by megapixels; each of the five portraits in turn
MIN_SPEEDUP = 8
MAX_DISTANCE = 0.25  # of the fast mode's encodings; two photos of one person are 0.3 to 0.4 apart
FAST, EXACT, ORIGINAL = "fast", "exact", "face_recognition"


def measure() -> Report:
    import face_recognition  # loads its four models

    fast = Models(Settings())
    exact = Models(Settings(detection="exact", network="dlib"))
    contestants = {
        FAST: lambda photo: _encode_with(fast, photo),
        EXACT: lambda photo: _encode_with(exact, photo),
        ORIGINAL: lambda photo: _encode(face_recognition, photo),
    }
    report = Report()
    if LFW.is_dir():
        files = sorted(LFW.rglob("*.jpg"))
        sample = islice((file.read_bytes() for file in files[:: len(files) // LFW_PHOTOS]), LFW_PHOTOS)
        _compare(report, contestants, sample, "250 × 250 pixels")
    for megapixels, count in PORTRAITS.items():
        what = f"{megapixels} megapixel{'s' if megapixels > 1 else ''}"
        _compare(report, contestants, islice(cycle(portraits(megapixels)), count), what)
    return report


def _encode(module: Any, photo: bytes) -> list[Any]:
    encodings: list[Any] = module.face_encodings(module.load_image_file(io.BytesIO(photo)))
    return encodings


def _encode_with(models: Models, photo: bytes) -> list[Any]:
    api.models = lambda: models  # instead of those of the environment: both modes run in this process
    return _encode(shim, photo)


def _compare(
    report: Report, contestants: dict[str, Callable[[bytes], list[Any]]], photos: Iterable[bytes], what: str
) -> None:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    counted_alike, distances, count = 0, [], 0
    for photo in photos:
        results: dict[str, list[Any]] = {}
        for name, encode in contestants.items():
            times[name].append(time_ms(lambda: results.__setitem__(name, encode(photo))))  # noqa: B023
        count += 1
        assert np.array_equal(results[EXACT], results[ORIGINAL]), "exact mode differs"
        if len(results[FAST]) == len(results[ORIGINAL]):
            counted_alike += 1
            distances += _nearest_distances(results[FAST], results[ORIGINAL])
    assert counted_alike >= 0.98 * count, f"{count - counted_alike} photos have another number of faces"
    assert max(distances) < MAX_DISTANCE, f"an encoding is {max(distances)} away"
    found = medians(times)
    where = f"face_encodings, {what}"
    report.figures += [
        Figure(where, found[FAST], "ms", ORIGINAL, found[ORIGINAL], at_least=MIN_SPEEDUP),
        Figure(f"{where}, exact mode", found[EXACT], "ms", ORIGINAL, found[ORIGINAL]),
    ]
    report.notes.append(
        f"{what}: {count} photos, {counted_alike} with as many faces. Distance to face_recognition's encoding: median "
        f"{np.median(distances):.3f}, at most {max(distances):.3f}; exact mode: equal to the bit."
    )


def _nearest_distances(mine: Sequence[Any], theirs: Sequence[Any]) -> list[float]:
    return [float(min(np.linalg.norm(one - other) for other in theirs)) for one in mine]
