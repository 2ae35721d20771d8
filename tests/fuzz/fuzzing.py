"""Runs many cases of a target in child processes, so that a crash or a hang is reported with its case number.

A target is a module, with an argument for its ``prepare`` if it takes one: ``fuzz_photos:PNG``. ``prepare`` returns a
function of one random.Random, which makes a case, checks it and returns its outcome in a word. Case N of a target is
always the same: ``python tests/fuzz/fuzzing.py TARGET N`` repeats it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FULL_COUNTS = bool(os.environ.get("FUZZ_FULL"))
"""Set by make fuzz."""
MAX_DEAD_CHILDREN = 5  # stop then

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@dataclass
class Report:
    failures: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds of CPU time, and the case number."""
    growth: int = 0
    """Growth of resident memory after the first tenth of the cases, in MiB."""
    peak: int = 0
    """Greatest resident memory in MiB."""

    def add(self, found: dict[str, object]) -> None:
        self.failures += found["failures"]  # type: ignore[arg-type, operator]
        self.outcomes.update(found["outcomes"])  # type: ignore[arg-type]
        self.slowest = max(self.slowest, tuple(found["slowest"]))  # type: ignore[arg-type, assignment]
        self.growth = max(self.growth, found["growth"])  # type: ignore[call-overload, type-var, assignment]
        self.peak = max(self.peak, found["peak"])  # type: ignore[call-overload, type-var, assignment]


def fuzz(target: str, count: int, first: int = 0) -> Report:
    """Run ``count`` cases. A case that ends its process is a failure; a new process runs the next ones."""
    report, end, died = Report(), first + count, 0
    with tempfile.TemporaryDirectory() as folder:
        progress, noise = Path(folder) / "progress", Path(folder) / "noise"
        while first < end and died < MAX_DEAD_CHILDREN:
            progress.write_bytes(bytes(8))
            command = [sys.executable, str(Path(__file__).with_name("fuzz_child.py")), target, str(first), str(end)]
            with noise.open("wb") as stderr:
                child = subprocess.run([*command, str(progress)], stdout=subprocess.PIPE, stderr=stderr, cwd=folder)
            if child.returncode == 0:
                report.add(json.loads(child.stdout))
                break
            died += 1
            at = int.from_bytes(progress.read_bytes(), "little")
            report.failures.append(f"{target} {at}: {_exit_reason(child.returncode)} {noise.read_bytes()[-500:]!r}")
            first = at + 1
    print(f"{target}: {count} cases, {dict(report.outcomes)}, slowest {report.slowest[0]:.2f} s (case "
          f"{report.slowest[1]}), growth {report.growth} MiB, peak {report.peak} MiB")  # fmt: skip
    return report


def _exit_reason(status: int) -> str:
    if status in (-signal.SIGPROF, -signal.SIGALRM):
        return "took longer than 2 s"
    return signal.strsignal(-status) or str(status) if status < 0 else f"ended with status {status}"


if __name__ == "__main__":
    print(*fuzz(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 1, int(sys.argv[2])).failures, sep="\n")
