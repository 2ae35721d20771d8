"""Writes the figures as Markdown and as JSON, with the machine, the versions and the date."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, Report

PACKAGES = ("dlib-bin", "face_recognition", "onnxruntime", "numpy", "pillow", "pysimdjson", "fastapi", "uvicorn")
TABLE_HEAD = "| | face128 | compared with | times as good | goal | |\n| --- | ---: | --- | ---: | ---: | --- |"
INTRO = """# Benchmarks

`make bench` measures all figures again. In each part the contestants take turns within one run, and a value is a
median. Absolute times depend on the machine, ratios less. "Times as good" is the peer's time divided by face128's, or
face128's throughput divided by the peer's. The naive service is a plain implementation with FastAPI, Pydantic and
face_recognition."""


def run_environment() -> dict[str, Any]:
    """Machine, versions and date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}",
        "versions": {"Python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
    }


def table(figures: list[Figure]) -> str:
    return "\n".join([TABLE_HEAD, *map(_row, figures)])


def write(reports: Mapping[str, Report], folder: Path) -> None:
    """Write benchmarks.md and benchmarks.json."""
    environment = run_environment()
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    figures = [figure for report in reports.values() for figure in report.figures]
    notes = [f"- {note}" for report in reports.values() for note in report.notes]
    page = [INTRO, f"{environment['date']} · {environment['machine']} · {versions}.", table(figures)]
    page += ["\n".join(notes)] if notes else []
    page += ["![Latency of /match by members, and of /encode-image by megapixels](benchmarks.png)"]
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text("\n\n".join(page) + "\n")
    document = environment | {
        "parts": {
            name: {
                "figures": [asdict(figure) | {"ratio": figure.ratio, "met": figure.met} for figure in report.figures],
                "curves": report.curves,
                "notes": report.notes,
            }
            for name, report in reports.items()
        }
    }
    (folder / "benchmarks.json").write_text(json.dumps(document, indent=2) + "\n")


def _row(figure: Figure) -> str:
    peer = "" if figure.peer_value is None else f"{figure.peer}: {format_number(figure.peer_value)} {figure.unit}"
    ratio = "" if figure.ratio is None else f"{format_number(figure.ratio)}×"
    goal = ""
    if figure.at_most is not None:
        goal = f"≤ {format_number(figure.at_most)} {figure.unit}"
    elif figure.at_least is not None:
        goal = f"≥ {format_number(figure.at_least)}×"
    met = {None: "", True: "met", False: "missed"}[figure.met]
    return f"| {figure.what} | {format_number(figure.value)} {figure.unit} | {peer} | {ratio} | {goal} | {met} |"


def format_number(value: float) -> str:
    """With three significant digits, or all digits of an integer or a large number."""
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _processor() -> str:
    """The processor's name, from /proc/cpuinfo if it exists."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
