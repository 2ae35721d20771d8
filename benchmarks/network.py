"""The descriptor network in ONNX Runtime, compared with dlib's, chip by chip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import dlib
import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW, ROOT, Figure, Report, interleave, medians
from face128.engines.dlib.engine import load_network
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights
from face128.engines.resnet.network import BATCH_CHIPS

Chips = npt.NDArray[np.uint8]

CHIP_COUNT = 100
THREADS = 2
MIN_SPEEDUP = 12.0


def measure() -> Report:
    weights = find_weights() / RESNET_FILE
    network = load_network(weights)
    reference = dlib.face_recognition_model_v1(str(weights))
    chips = np.array(list(islice(face_chips(), CHIP_COUNT)))
    times: dict[str, list[float]] = defaultdict(list)
    single, batched, threaded = "one chip", f"batches of {BATCH_CHIPS}", f"{THREADS} threads"
    with ThreadPoolExecutor(THREADS) as pool:
        for i in range(len(chips)):
            chip, pair, batch = (chips[np.arange(i, i + size) % len(chips)] for size in (1, THREADS, BATCH_CHIPS))
            contestants = {
                "dlib": partial(reference.compute_face_descriptor, chip[0]),
                single: partial(network, chip),
                batched: partial(network, batch),
                threaded: partial(_in_threads, pool, network, pair),
            }
            for name, runs in interleave(contestants, 1).items():
                times[name] += runs
    typical = medians(times)
    goals = {single: (1, MIN_SPEEDUP), batched: (BATCH_CHIPS, None), threaded: (THREADS, None)}
    return Report(
        [
            Figure(f"the network, {name}", typical[name] / size, "ms a chip", "dlib", typical["dlib"], at_least=goal)
            for name, (size, goal) in goals.items()
        ]
    )


def _in_threads(pool: ThreadPoolExecutor, network: Callable[[Chips], object], chips: Chips) -> None:
    list(pool.map(network, np.split(chips, len(chips))))


def face_chips() -> Iterator[Chips]:
    """The face chips of fixtures/photos, then of LFW if it is there."""
    detect, landmarks = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(find_weights() / LANDMARKS_FILE))
    for photo in [*sorted((ROOT / "fixtures" / "photos").iterdir()), *sorted(LFW.rglob("*.jpg"))]:
        image = dlib.load_rgb_image(str(photo))
        for box in detect(image, 1):
            yield dlib.get_face_chip(image, landmarks(image, box), 150, 0.25)
