"""Re-encoding in one process, in all, and a plain face_recognition loop, on the same photos: rates and parity.

    python benchmarks/reencode.py [--photos 200] [--rounds 3]

Photos are those of ../shared/data/lfw-view1. The contestants take turns, round by round; a rate is a median, counted
from the first photo that is done to the last: the start of the processes, a second or two, is not in it.
"""

from __future__ import annotations

import argparse
import random
import time
from functools import partial
from pathlib import Path
from statistics import median

import face_recognition
import numpy as np

from face128.descriptors import from_base64
from face128.jobs.pool import run
from face128.jobs.recipe import Recipe
from face128.jobs.task import Task, work
from face128.settings import load_settings

LFW = sorted((Path(__file__).parents[1].parent / "shared" / "data" / "lfw-view1" / "images").rglob("*.jpg"))
SHARE = 8  # of the photos, one in so many goes through face_recognition


def rate_of(photos: list[str], recipe: Recipe, processes: int, found: dict[str, str | None]) -> float:
    times = []
    for task, outcome in run(partial(work, recipe), [Task(photo, photo, None) for photo in photos], processes):
        times.append(time.perf_counter())
        found[task.photo] = outcome.descriptor if outcome else None
    warm = 2 * processes  # each process loads the engine with its first photo
    return (len(times) - warm) / (times[-1] - times[warm - 1])


def plain_loop(photos: list[str], found: dict[str, list[np.ndarray]]) -> float:
    start = time.perf_counter()
    for photo in photos:
        found[photo] = face_recognition.face_encodings(face_recognition.load_image_file(photo))
    return len(photos) / (time.perf_counter() - start)


def main(count: int, rounds: int) -> None:
    if not LFW:
        raise SystemExit("../shared/data/lfw-view1 is not here")
    settings = load_settings()
    recipe = Recipe.from_settings(settings)
    all_photos = [str(path) for path in LFW]
    random.Random(0).shuffle(all_photos)
    ours: dict[str, str | None] = {}
    theirs: dict[str, list[np.ndarray]] = {}
    rates: dict[str, list[float]] = {"one process": [], f"{settings.threads} processes": [], "face_recognition": []}
    for i in range(rounds):
        photos = (all_photos * 2)[i * count % len(all_photos) :][:count]
        rates["one process"].append(rate_of(photos, recipe, 1, ours))
        rates[f"{settings.threads} processes"].append(rate_of(photos, recipe, settings.threads, ours))
        rates["face_recognition"].append(plain_loop(photos[::SHARE], theirs))
    slow = median(rates["face_recognition"])
    print(f"{rounds} rounds of {count} photos, {settings.detection} detection")
    for name, values in rates.items():
        print(f"{name:20} {median(values):7.1f} photos/s {median(values) / slow:6.1f} times face_recognition")
    one, many = rates["one process"], rates[f"{settings.threads} processes"]
    print(f"all processes against one: {median(m / o for m, o in zip(many, one, strict=True)):.2f}")
    apart = [
        float(np.linalg.norm(from_base64(text) - theirs[photo][0]))
        for photo, text in ours.items()
        if text is not None and len(theirs.get(photo, [])) == 1
    ]
    print(f"largest L2 to face_recognition on {len(apart)} photos: {max(apart):.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200, help="in a round (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    arguments = parser.parse_args()
    main(arguments.photos, arguments.rounds)
