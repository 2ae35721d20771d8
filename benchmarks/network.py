"""The descriptor network in ONNX Runtime beside dlib's own, on the same chips: time, and distance of the descriptors.

    python benchmarks/network.py [--chips 100]

Chips are cut from fixtures/photos and, where it is there, ../shared/data/lfw-view1. The contestants take turns, chip by
chip, so that whatever else the machine does meets all of them; a time is a median.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import median

import dlib
import numpy as np
import numpy.typing as npt

from face128.engines.weights import LANDMARKS, RESNET, find_weights
from face128.engines.weights.network import BATCH, load_network

Chips = npt.NDArray[np.uint8]

ROOT = Path(__file__).parents[1]
PHOTOS = sorted((ROOT / "fixtures" / "photos").iterdir())
LFW = sorted((ROOT.parent / "shared" / "data" / "lfw-view1" / "images").rglob("*.jpg"))
THREADS = 2


def cut(photos: Iterable[Path], landmarks: dlib.shape_predictor) -> Iterator[Chips]:
    detect = dlib.get_frontal_face_detector()
    for photo in photos:
        image = dlib.load_rgb_image(str(photo))
        for box in detect(image, 1):
            yield dlib.get_face_chip(image, landmarks(image, box), 150, 0.25)


def main(most: int) -> None:
    weights = find_weights()
    start = time.perf_counter()
    network = load_network(weights / RESNET)
    print(f"from dlib's file to a session: {1e3 * (time.perf_counter() - start):.0f} ms")
    reference = dlib.face_recognition_model_v1(str(weights / RESNET))
    chips = np.array(list(islice(cut(PHOTOS + LFW, dlib.shape_predictor(str(weights / LANDMARKS))), most)))
    pool = ThreadPoolExecutor(THREADS)

    contestants: dict[str, tuple[int, Callable[[Chips], object]]] = {
        "dlib": (1, lambda batch: reference.compute_face_descriptor(batch[0])),
        "ONNX Runtime": (1, network),
        f"ONNX Runtime, batches of {BATCH}": (BATCH, network),
        f"ONNX Runtime, {THREADS} threads": (THREADS, lambda batch: list(pool.map(network, np.split(batch, THREADS)))),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    descriptors: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in contestants}
    for i in range(len(chips)):
        for name, (size, run) in contestants.items():
            batch = chips[np.arange(i, i + size) % len(chips)]
            start = time.perf_counter()
            result = run(batch)
            times[name].append(1e3 * (time.perf_counter() - start) / size)
            descriptors[name].append(np.asarray(result, np.float64).reshape(size, -1)[0])

    print(f"{len(chips)} chips{'' if LFW else ' (../shared/data/lfw-view1 is not here)'}")
    print(f"{'':30} ms a chip  times as fast as dlib  max L2 to dlib")
    truth, slow = np.array(descriptors["dlib"]), median(times["dlib"])
    for name, runs in times.items():
        apart = np.linalg.norm(np.array(descriptors[name]) - truth, axis=1).max()
        print(f"{name:30} {median(runs):9.2f} {slow / median(runs):22.1f} {apart:15.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=100, help="how many faces (default 100)")
    main(parser.parse_args().chips)
