"""The descriptor network in ONNX Runtime, compared with dlib's, chip by chip; and the second network with the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import dlib
import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW, ROOT, SHARED, Figure, Report, interleave, medians
from face128.engines.dlib.engine import load_network
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights
from face128.engines.loader import load_engine
from face128.engines.resnet.network import BATCH_CHIPS
from face128.engines.retail.graph import CHIP_SIDE_PX
from face128.settings import Settings

Chips = npt.NDArray[np.uint8]

CHIP_COUNT = 100
THREADS = 2
MIN_SPEEDUP = 12.0
SECOND_MODEL = SHARED / "data" / "retail-0095"
MAX_SECOND_COST = 1.5  # times dlib's network


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
    report = Report(
        [
            Figure(f"the network, {name}", typical[name] / size, "ms a chip", "dlib", typical["dlib"], at_least=goal)
            for name, (size, goal) in goals.items()
        ]
    )
    if SECOND_MODEL.exists():
        _second_network(network, chips, report)
    else:
        report.notes.append(
            f"No figures of the second network: ../{SECOND_MODEL.relative_to(SHARED.parent)} is missing."
        )
    return report


def _second_network(network: Callable[[Chips], object], chips: Chips, report: Report) -> None:
    second = load_engine("retail", Settings(retail_model=SECOND_MODEL))
    # Not aligned to this network: what a chip shows does not change the time.
    smaller = np.ascontiguousarray(chips[:, :CHIP_SIDE_PX, :CHIP_SIDE_PX])
    for size in (1, BATCH_CHIPS):
        times: dict[str, list[float]] = defaultdict(list)
        for i in range(len(chips)):
            batch = np.arange(i, i + size) % len(chips)
            contestants = {
                "dlib": partial(network, chips[batch]),
                "retail": partial(second.describe, smaller[batch]),
            }
            for name, runs in interleave(contestants, 1).items():
                times[name] += runs
        typical = {name: time / size for name, time in medians(times).items()}
        what = f"the second network, {'one chip' if size == 1 else f'batches of {size}'}"
        peer = "dlib's, in ONNX Runtime"
        goal = 1 / MAX_SECOND_COST
        report.figures.append(Figure(what, typical["retail"], "ms a chip", peer, typical["dlib"], at_least=goal))


def _in_threads(pool: ThreadPoolExecutor, network: Callable[[Chips], object], chips: Chips) -> None:
    list(pool.map(network, np.split(chips, len(chips))))


def face_chips() -> Iterator[Chips]:
    """The face chips of fixtures/photos, then of LFW if it is there."""
    detect, landmarks = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(find_weights() / LANDMARKS_FILE))
    for photo in [*sorted((ROOT / "fixtures" / "photos").iterdir()), *sorted(LFW.rglob("*.jpg"))]:
        image = dlib.load_rgb_image(str(photo))
        for box in detect(image, 1):
            yield dlib.get_face_chip(image, landmarks(image, box), 150, 0.25)
