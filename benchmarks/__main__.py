"""Benchmarks against the naive service, face_recognition and dlib: ``python -m benchmarks [PART ...]``.

Without arguments, all of PARTS run and docs/benchmarks.md, .json and .png and the README's table are written again.
OPTIONAL_PARTS run only if they are named.
"""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from pathlib import Path

from benchmarks import plot, publish, readme_table
from benchmarks.harness import ROOT, Report

PARTS = (
    "network",
    "parity",
    "encode",
    "companions",
    "match",
    "decision",
    "latency",
    "batch",
    "reencode",
    "startup",
    "memory",
    "gallery",
    "faceapi",
)
"""Modules of this package with a function ``measure() -> Report``."""
OPTIONAL_PARTS = (
    "isolation",
    "overload",
    "metrics",
    "sizes",
    "milvus_recall",
    "contention",
    "beside_import",
    "transfer",
    "encryption",
    "trail",
    "traces",
    "library",
    "console",
)
"""Run only if named: they use all processors for minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of: {', '.join(PARTS + OPTIONAL_PARTS)}")
    parser.add_argument("--out", type=Path, help="write the three files into this folder, also if only some parts run")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS + OPTIONAL_PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    reports = {name: _run(name) for name in options.parts or PARTS}
    folder = options.out or (None if options.parts else ROOT / "docs")
    if folder is not None:
        publish.write(reports, folder)
        _draw(reports, folder / "benchmarks.png")
    if folder == ROOT / "docs":
        readme_table.update()


def _run(name: str) -> Report:
    start = time.monotonic()
    report: Report = import_module(f"benchmarks.{name}").measure()
    print(f"\n{name} ({time.monotonic() - start:.0f} s)\n{publish.table(report.figures)}", flush=True)
    for note in report.notes:
        print(note, flush=True)
    return report


def _draw(reports: dict[str, Report], file: Path) -> None:
    curves = {count: curve for report in reports.values() for count, curve in report.curves.items()}
    try:
        plot.draw(curves, file)
    except ImportError:
        print("No plot: matplotlib is not installed (pip install '.[plots]').")


if __name__ == "__main__":
    main()
