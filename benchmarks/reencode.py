"""Re-encoding photos of Labeled Faces in the Wild: one process, all, and a plain face_recognition loop in turn.

A rate is counted from the first photo that is done to the last: the start of the processes, a second or two, is not in
it. The descriptors are compared as well: fast detection finds some boxes a few pixels away.
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
SHARE = 12  # of the photos, one in so many goes through face_recognition
SPEED, SCALING, DRIFT = 12.0, 1.8, 0.06  # goals
PEER = "plain face_recognition loop"


def rate_of(photos: list[str], recipe: Recipe, processes: int, found: dict[str, str | None]) -> float:
    tasks = [PhotoTask(photo, photo, None) for photo in photos]
    times = []
    backend = LocalBackend(processes, photo_timeout_s=30)
    for task, result in backend.run(partial(run_tasks, recipe), tasks, len(tasks)):
        times.append(time.perf_counter())
        found[task.photo] = result.descriptor if result else None
    warm = 2 * processes * MAX_BATCH_PHOTOS  # each process loads the engine with its first photos
    return (len(times) - warm) / (times[-1] - times[warm - 1])


def plain_loop(photos: list[str], found: dict[str, list[np.ndarray]]) -> float:
    start = time.perf_counter()
    for photo in photos:
        found[photo] = face_recognition.face_encodings(face_recognition.load_image_file(photo))
    return len(photos) / (time.perf_counter() - start)


def measure() -> Report:
    report = Report()
    photos = [str(path) for path in sorted(LFW.rglob("*.jpg"))]
    if not photos:
        report.notes.append("No re-encoding: the photos of Labeled Faces in the Wild are not there.")
        return report
    random.Random(0).shuffle(photos)
    settings = load_settings()
    recipe = Recipe.from_settings(settings)
    ours: dict[str, str | None] = {}
    theirs: dict[str, list[np.ndarray]] = {}
    one, many, plain = [], [], []
    for i in range(ROUNDS):
        some = photos[i * PHOTOS :][:PHOTOS]
        one.append(rate_of(some, recipe, 1, ours))
        many.append(rate_of(some, recipe, settings.threads, ours))
        plain.append(plain_loop(some[::SHARE], theirs))
    apart = [
        float(np.linalg.norm(from_base64(text) - theirs[photo][0]))
        for photo, text in ours.items()
        if text is not None and len(theirs.get(photo, [])) == 1
    ]
    what = f"re-encoding, {settings.threads} processes"
    rate = median(many)
    report.figures += [
        Figure(what, rate, "photos/s", PEER, median(plain), at_least=SPEED),
        Figure(what, rate, "photos/s", "one process", median(one), at_least=SCALING),
        Figure(f"re-encoding: L2 to {PEER}, median of {len(apart)}", median(apart), "L2", at_most=DRIFT),
    ]
    return report
