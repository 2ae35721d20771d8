"""Runs the cases FIRST to END of a target, one after the other: python fuzz_child.py TARGET FIRST END PROGRESS.

The kernel ends this process when a case takes more than two seconds of processor time, or half a minute of any. The
case that is running stands in the file PROGRESS; what was found is printed as JSON at the end.
"""

from __future__ import annotations

import gc
import importlib
import json
import mmap
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

SECONDS, WALL_SECONDS = 2.0, 30.0


def main(target: str, first: int, end: int, progress: Path) -> None:
    # Their default action ends the process, in the middle of native code too.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
    module, *arguments = target.split(":")
    case = importlib.import_module(module).prepare(*arguments)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest = (0.0, first)
    tenth = 0
    with progress.open("r+b") as file, mmap.mmap(file.fileno(), 8) as at:
        for index in range(first, end):
            at[:] = index.to_bytes(8, "little")
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            try:
                outcomes[case(random.Random(f"{target}/{index}"))] += 1
            except Exception:
                outcomes["failed"] += 1
                del failures[20:]
                failures.append(f"{target} {index}: {traceback.format_exc()[-2000:]}")
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, (time.process_time() - began, index))
            if index == first + (end - first) // 10:
                tenth = resident()
    print(
        json.dumps(
            {
                "failures": failures,
                "outcomes": outcomes,
                "slowest": slowest,
                "growth": resident() - tenth,
                "peak": status("VmHWM"),
            }
        )
    )


def resident() -> int:
    """MiB, when what is free has been given back."""
    from face128.process_memory import give_back_memory

    gc.collect()
    give_back_memory()
    return status("VmRSS")


def status(field: str) -> int:
    """MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))  # what the other tests share
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
