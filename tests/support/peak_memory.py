"""A script: for each file, how much memory work on it takes at its peak, and how much face128 claims for it.

Arguments: ``decode``, ``draw`` (as a browser does) or an engine, a shrink, files. Prints two numbers of bytes for each.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from face128.encoding.encode import find_faces
from face128.encoding.self_test import self_test_photo
from face128.engines.loader import load_engine
from face128.photos import memory
from face128.photos.photo import Limits, open_photo
from face128.settings import Settings

LIMITS = Limits(2**30, 2**30)
claimed: list[int] = []


def claim(byte_count: int, *_: int) -> memory.Grant:
    claimed.append(byte_count)
    return memory.Grant(reserved=True)


def status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(work: str, shrink: int, data: bytes) -> tuple[int, int]:
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    if work == "decode":
        memory.require = claim
        open_photo(data, LIMITS).rgb(shrink)
    elif work == "draw":
        memory.require = claim
        open_photo(data, LIMITS, "browser").canvas()
    else:
        memory.asking.set(claim)
        find_faces(engine, data, LIMITS)
    return status_bytes("VmHWM") - before, claimed[0]


if __name__ == "__main__":
    _, work, shrink, *files = sys.argv
    engine = load_engine("fake" if work in ("decode", "draw") else work, Settings())
    find_faces(engine, self_test_photo(), LIMITS)
    ctypes.CDLL(None).malloc_trim(0)
    for file in files:
        sys.stdout.flush()
        if not os.fork():
            print(*measure(work, int(shrink), Path(file).read_bytes()), flush=True)
            os._exit(0)
        os.wait()
