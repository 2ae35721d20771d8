"""One pass and chip-and-mirror on lfw-view1: error rates at a fixed threshold, TAR at a FAR, and what a photo costs.

    python -m benchmarks.passes

Faces are detected as with FACE128_DETECTION=exact; of several faces the one nearest the centre of the photo counts, as
in LFW's protocol.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.harness import LFW
from benchmarks.photos import portraits
from face128.domain.descriptors import Vector
from face128.domain.model_card import DLIB
from face128.encoding.encode import encode
from face128.encoding.passes import Passes, with_passes
from face128.engines.loader import load_engine
from face128.jobs.calibrate.described_photos import describe
from face128.jobs.calibrate.evaluate import best_threshold, error_rates
from face128.jobs.calibrate.photo_pairs import pair_photos, read_pairs
from face128.jobs.execution.local_backend import LocalBackend
from face128.jobs.execution.recipe import Recipe
from face128.photos.photo import Limits
from face128.settings import load_settings

PASSES: tuple[Passes, ...] = ("one", "mirror")
FARS = (0.001, 0.0001)
COST_ROUNDS = 20


def tar_at_far(genuine: Vector, impostor: Vector, far: float) -> float:
    """The share of genuine pairs below the threshold that accepts at most the share ``far`` of impostor pairs."""
    first_refused = np.sort(impostor)[int(far * len(impostor))]
    return float(np.mean(genuine < first_refused))


def print_rates() -> None:
    settings = load_settings(detection="exact")
    photos = sorted(LFW.rglob("*.jpg"))
    listed = read_pairs(LFW.parent / "pairs.txt", LFW)
    backend = LocalBackend(settings.threads, settings.photo_seconds)
    for passes in PASSES:
        recipe = Recipe.from_settings(settings, choice="central", passes=passes)
        found = describe(photos, recipe, backend)[0].vectors
        for name, pairs in (
            ("pairs.txt", pair_photos(found, DLIB.metric, listed)),
            ("all", pair_photos(found, DLIB.metric)),
        ):
            genuine, impostor = (pairs.distances[pairs.genuine == same].astype(np.float64) for same in (True, False))
            print(f"\n{passes}, {name}: {len(genuine):,} genuine pairs, {len(impostor):,} impostor pairs")
            threshold, accuracy = best_threshold(genuine, impostor)
            print(f"  accuracy {accuracy:.2%} at {threshold:.3f}")
            for far in FARS:
                print(f"  TAR at FAR {far:.2%}: {tar_at_far(genuine, impostor, far):.1%}")
            for fixed in (DLIB.threshold, 0.5, DLIB.cohort_cap):
                rates = error_rates(genuine, impostor, fixed)
                print(f"  at {fixed}: FAR {rates['far']:.4%}, FRR {rates['frr']:.1%}")


def print_cost() -> None:
    """CPU time, since other programs may run beside it; both take turns."""
    plain, limits = load_engine("dlib", load_settings()), Limits()
    engines = {passes: with_passes(plain, passes) for passes in PASSES}
    for what, photos in (("a photo of 1 megapixel", portraits(1)), ("of 11 megapixels", portraits(11))):
        times: dict[str, list[float]] = {passes: [] for passes in PASSES}
        for _ in range(COST_ROUNDS):
            for passes, engine in engines.items():
                times[passes] += [_cpu_ms(lambda e=engine, p=photo: encode(e, p, limits)) for photo in photos]  # type: ignore[misc]
        typical = {passes: median(each) for passes, each in times.items()}
        print(f"\n{what}: " + ", ".join(f"{passes} {ms:.1f} ms" for passes, ms in typical.items()))


def _cpu_ms(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return 1e3 * (time.process_time() - start)


if __name__ == "__main__":
    print_cost()
    if LFW.exists():
        print_rates()
    else:
        print("No rates: ../shared/data/lfw-view1 is missing.")
