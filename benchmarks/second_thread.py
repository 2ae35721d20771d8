"""What a photo's second thread (face128/helper_thread.py) gains: the same photos with it and without, in turns.

    python -m benchmarks.second_thread [--rounds N]

The wall times mean something only on a machine with an idle core. The processor time of the photo's own thread is the
time that is left for it; the rest is done beside it.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from statistics import median

from benchmarks.photos import portraits
from face128.encoding.encode import encode
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.helper_thread import no_helper
from face128.photos.photo import Limits

MEGAPIXELS = (0.25, 1, 11)
WAYS = {"one thread": no_helper, "two threads": nullcontext}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    engine, limits = DlibEngine(find_weights()), Limits()
    print("| megapixels | | wall ms | CPU ms of the photo's thread | CPU ms in all |\n| --- | --- | --- | --- | --- |")
    for megapixels in MEGAPIXELS:
        times: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
        for photo in portraits(megapixels) * (rounds + 1):
            for way, context in WAYS.items():
                clocks = time.perf_counter, time.thread_time, time.process_time
                start = [clock() for clock in clocks]
                with context():
                    encode(engine, photo, limits)
                times[way].append(tuple(1e3 * (clock() - before) for clock, before in zip(clocks, start, strict=True)))
        for way, each in times.items():
            warm = each[len(portraits(megapixels)) :]
            figures = " | ".join(f"{median(values):.1f}" for values in zip(*warm, strict=True))
            print(f"| {megapixels:g} | {way} | {figures} |")


if __name__ == "__main__":
    main()
