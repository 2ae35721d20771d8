"""Runs the cases FIRST to END - 1 of a target one after the other: python fuzz_child.py TARGET FIRST END PROGRESS.

The kernel ends this process if a case takes more than two seconds of CPU time or 30 seconds of wall time. The number of
the current case is in the file PROGRESS; the results are printed as JSON at the end.
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

CPU_LIMIT_S, WALL_LIMIT_S = 2.0, 30.0


def main(target: str, first: int, end: int, progress: Path) -> None:
    # The default action ends the process, even inside native code.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow warns about damaged metadata
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
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
            signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
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
                tenth = resident_mib()
    print(
        json.dumps(
            {
                "failures": failures,
                "outcomes": outcomes,
                "slowest": slowest,
                "growth": resident_mib() - tenth,
                "peak": status_mib("VmHWM"),
            }
        )
    )


def resident_mib() -> int:
    """Resident memory in MiB, after free memory was returned to the kernel."""
    from face128.process_memory import trim_heap

    gc.collect()
    trim_heap()
    return status_mib("VmRSS")


def status_mib(field: str) -> int:
    """A field of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))  # what the other tests share
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
