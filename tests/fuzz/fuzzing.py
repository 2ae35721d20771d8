"""Runs many cases of a target in child processes, so that a crash or a hang is a finding with a number.

A target is a module, and an argument for its ``prepare`` if it takes one: ``fuzz_photos:PNG``. ``prepare`` gives a
function of one random.Random, which makes a case, checks it, and returns in a word how it went. Case N of a target is
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

FULL = bool(os.environ.get("FUZZ_FULL"))
"""make fuzz: the full counts."""
ENOUGH = 5  # children that died: whatever is wrong will have been seen

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@dataclass
class Report:
    failures: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds of processor time, and the number of the case."""
    growth: int = 0
    """MiB resident at the end beyond what was after a tenth of the cases."""
    peak: int = 0
    """MiB."""

    def add(self, found: dict[str, object]) -> None:
        self.failures += found["failures"]  # type: ignore[arg-type, operator]
        self.outcomes.update(found["outcomes"])  # type: ignore[arg-type]
        self.slowest = max(self.slowest, tuple(found["slowest"]))  # type: ignore[arg-type, assignment]
        self.growth = max(self.growth, found["growth"])  # type: ignore[call-overload, type-var, assignment]
        self.peak = max(self.peak, found["peak"])  # type: ignore[call-overload, type-var, assignment]


def fuzz(target: str, count: int, first: int = 0) -> Report:
    """Run the cases from ``first`` on. One that ends its process is a failure; the next ones run in a new one."""
    report, end, died = Report(), first + count, 0
    with tempfile.TemporaryDirectory() as folder:
        progress, noise = Path(folder) / "progress", Path(folder) / "noise"
        while first < end and died < ENOUGH:
            progress.write_bytes(bytes(8))
            command = [sys.executable, str(Path(__file__).with_name("fuzz_child.py")), target, str(first), str(end)]
            with noise.open("wb") as stderr:
                child = subprocess.run([*command, str(progress)], stdout=subprocess.PIPE, stderr=stderr, cwd=folder)
            if child.returncode == 0:
                report.add(json.loads(child.stdout))
                break
            died += 1
            at = int.from_bytes(progress.read_bytes(), "little")
            report.failures.append(f"{target} {at}: {_how(child.returncode)} {noise.read_bytes()[-500:]!r}")
            first = at + 1
    print(f"{target}: {count} cases, {dict(report.outcomes)}, slowest {report.slowest[0]:.2f} s (case "
          f"{report.slowest[1]}), growth {report.growth} MiB, peak {report.peak} MiB")  # fmt: skip
    return report


def _how(status: int) -> str:
    if status in (-signal.SIGPROF, -signal.SIGALRM):
        return "took longer than 2 s"
    return signal.strsignal(-status) or str(status) if status < 0 else f"ended with status {status}"


if __name__ == "__main__":
    print(*fuzz(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 1, int(sys.argv[2])).failures, sep="\n")
