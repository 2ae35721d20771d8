"""face-api.js's pipeline here beside the npm package itself under Node (wasm), on the same pixels: time, and distance.

    make faceapi && python benchmarks/faceapi.py [--photos 40]

Photos are those of fixtures/photos and, where it is there, ../shared/data/lfw-view1. Each side runs on one thread; both
take turns, photo by photo, so that whatever else the machine does meets both; a time is a median. Decoding is not
counted on either side.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the package under Node is the tests' outside truth, too

from faceapi_truth import MODELS, PHOTOS, WAYS, Truth, node, pixels_of  # noqa: E402

from face128.engines.faceapi128 import FaceapiEngine  # noqa: E402
from face128.images import Photo  # noqa: E402

LFW = sorted((ROOT.parent / "shared" / "data" / "lfw-view1" / "images").rglob("*.jpg"))


def main(most: int) -> None:
    if not MODELS.is_dir():
        sys.exit("face-api.js is not installed: make faceapi")
    photos = [pixels_of(path) for path in (PHOTOS + LFW[:: max(1, len(LFW) // most)])[:most]]
    print(
        f"{len(photos)} photos{'' if LFW else ' (../shared/data/lfw-view1 is not here)'}, ms a photo, one thread each"
    )
    print("detector  scaling  faces    Node    here  times as fast  max L2")
    with node() as faceapi:
        for detector, scaling in WAYS:
            engine = FaceapiEngine(MODELS, detector, scaling)  # type: ignore[arg-type]
            theirs, ours, apart = [], [], []
            for i, rgb in enumerate([photos[0], *photos]):
                answer = faceapi.ask(rgb, detector, scaling)
                start = time.perf_counter()
                photo = Photo.from_rgb(rgb)
                descriptors = engine.describe(engine.crop(photo, engine.detect(photo)))
                took = 1e3 * (time.perf_counter() - start)
                if i == 0:
                    continue  # both warm up
                theirs.append(answer["ms"])
                ours.append(took)
                truths = [Truth.of(face).descriptor for face in answer["faces"]]
                apart += [np.linalg.norm(a - b) for a, b in zip(descriptors, truths, strict=True)]
            ratio = median(a / b for a, b in zip(theirs, ours, strict=True))
            times = f"{median(theirs):7.0f} {median(ours):7.0f} {ratio:14.1f}"
            print(f"{detector:8}  {scaling:7} {len(apart):6} {times} {max(apart):7.1e}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40, help="how many photos (default 40)")
    main(parser.parse_args().photos)
