"""Import and export of large galleries on SQLite: processor time and memory of the commands.

All faces are compared before they are stored. The people are synthetic (``synthetic_people``), and two of them may have
one face: ``--force`` stores them nevertheless, and ``--report`` makes the command compare.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Figure, Report
from benchmarks.synthetic_people import people
from face128.domain.descriptors import to_base64
from face128.domain.model_card import DLIB

SIZES = "10000,100000"
"""What ``FACE128_BENCH_FACES`` is by default: numbers of faces. A million takes 20 minutes, and 6 GB of disk."""

GOALS: dict[int, tuple[float, float]] = {100_000: (40, 400), 1_000_000: (600, 1500)}
"""Seconds of processor time and megabytes for an import."""
BLOCK_PEOPLE = 10_000
QUALITY = {"verdict": "good", "reasons": [], "measures": {"eye_distance": 60.5, "sharpness": 12.25, "yaw": 1.5}}


def measure() -> Report:
    report = Report(notes=["Imports compare all pairs of faces, and store them on SQLite."])
    for size in map(int, os.environ.get("FACE128_BENCH_FACES", SIZES).split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_members(folder / "members.json", size)
            seconds, memory_mb = run(folder, "import", "members.json", "--force", "--report", "pairs.csv")
            max_seconds, max_mb = GOALS.get(size, (None, None))
            report.figures += [
                Figure(f"import of {size:,} faces, processor time", seconds, "s", at_most=max_seconds),
                Figure(f"import of {size:,} faces, memory", memory_mb, "MB", at_most=max_mb),
            ]
            again, _ = run(folder, "import", "members.json")
            seconds, memory_mb = run(folder, "export", "all.json")
            report.figures += [
                Figure(f"import of {size:,} faces that are stored, processor time", again, "s"),
                Figure(f"export of {size:,} faces, processor time", seconds, "s"),
                Figure(f"export of {size:,} faces, memory", memory_mb, "MB"),
            ]
    return report


def write_members(path: Path, size: int) -> None:
    """A list as an export writes it."""
    with path.open("w") as file:
        file.write(f'{{"model": "{DLIB.name}", "enrolled": [')
        for start in range(0, size, BLOCK_PEOPLE):
            for number, vector in enumerate(people(min(BLOCK_PEOPLE, size - start), seed=start), start):
                detail = {"id": f"{number:032x}", "metadata": {}, "created_at": "2026-01-02T03:04:05"}
                member = {"regNo": number, "name": f"Person {number}", "descriptors": [to_base64(vector)]}
                member["faces"] = [detail | {"photo_facts": {"quality": QUALITY}}]
                file.write(",\n"[not number :] + json.dumps(member))
        file.write("\n]}\n")


def run(folder: Path, *words: str) -> tuple[float, float]:
    """The processor time of ``face128 gallery`` in seconds, and its greatest memory in megabytes."""
    command = [sys.executable, "-m", "face128", "gallery", *words]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "FACE128_DATA": str(folder)})
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"face128 gallery {' '.join(words)} failed"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
