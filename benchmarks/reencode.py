"""Re-encoding photos of Labeled Faces in the Wild with one process, with all, and in a plain face_recognition loop.

Rates exclude the start of the processes, a second or two. The descriptors are compared too; with fast detection some
face boxes differ by a few pixels.
"""

from __future__ import annotations

import random
import time
from functools import partial
from statistics import median

import face_recognition
import numpy as np

from benchmarks.harness import LFW, Figure, Report
from face128.domain.descriptors import from_base64
from face128.jobs.execution.backend import MAX_BATCH_PHOTOS
from face128.jobs.execution.local_backend import LocalBackend
from face128.jobs.execution.photo_task import PhotoTask, run_tasks
from face128.jobs.execution.recipe import Recipe
from face128.settings import load_settings

PHOTOS, ROUNDS = 240, 5
PLAIN_LOOP_STEP = 12  # the plain loop describes every 12th photo
MIN_SPEEDUP, MIN_SCALING, MAX_L2 = 12.0, 1.8, 0.06
PEER = "plain face_recognition loop"


def photos_per_s(photos: list[str], recipe: Recipe, processes: int, descriptors: dict[str, str | None]) -> float:
    """Add each photo's descriptor in base64 to ``descriptors``, and return the rate."""
    tasks = [PhotoTask(photo, photo, None) for photo in photos]
    end_times = []
    backend = LocalBackend(processes, photo_timeout_s=30)
    for task, result in backend.run(partial(run_tasks, recipe), tasks, len(tasks)):
        end_times.append(time.perf_counter())
        descriptors[task.photo] = result.descriptor if result else None
    skipped = 2 * processes * MAX_BATCH_PHOTOS  # each process loads the engine for its first photos
    return (len(end_times) - skipped) / (end_times[-1] - end_times[skipped - 1])


def plain_loop_photos_per_s(photos: list[str], descriptors: dict[str, list[np.ndarray]]) -> float:
    start = time.perf_counter()
    for photo in photos:
        descriptors[photo] = face_recognition.face_encodings(face_recognition.load_image_file(photo))
    return len(photos) / (time.perf_counter() - start)


def measure() -> Report:
    report = Report()
    photos = [str(path) for path in sorted(LFW.rglob("*.jpg"))]
    if not photos:
        report.notes.append("No re-encoding: the photos of Labeled Faces in the Wild are missing.")
        return report
    random.Random(0).shuffle(photos)
    settings = load_settings()
    recipe = Recipe.from_settings(settings)
    ours: dict[str, str | None] = {}
    references: dict[str, list[np.ndarray]] = {}
    one, many, plain = [], [], []
    for i in range(ROUNDS):
        some = photos[i * PHOTOS :][:PHOTOS]
        one.append(photos_per_s(some, recipe, 1, ours))
        many.append(photos_per_s(some, recipe, settings.threads, ours))
        plain.append(plain_loop_photos_per_s(some[::PLAIN_LOOP_STEP], references))
    distances = [
        float(np.linalg.norm(from_base64(text) - references[photo][0]))
        for photo, text in ours.items()
        if text is not None and len(references.get(photo, [])) == 1
    ]
    what = f"re-encoding, {settings.threads} processes"
    rate = median(many)
    report.figures += [
        Figure(what, rate, "photos/s", PEER, median(plain), at_least=MIN_SPEEDUP),
        Figure(what, rate, "photos/s", "one process", median(one), at_least=MIN_SCALING),
        Figure(f"re-encoding: L2 to {PEER}, median of {len(distances)}", median(distances), "L2", at_most=MAX_L2),
    ]
    return report
