"""What the size of the gallery costs: each step at 10,000 and 100,000 people, and how it grows from one to the next.

    BENCH_FACES="10000 100000 1000000" python -m benchmarks sizes
    python -m benchmarks.sizes --steps imports pages      only these; prints the table of docs/gallery.md

The people are synthetic (synthetic_people.py), with one photo each, in SQLite. The services load no photo engine. A
step that compares all with all is left out above 200,000.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks import size_steps
from benchmarks.harness import Figure, Report
from benchmarks.publish import format_number
from benchmarks.size_place import Measured, Place
from benchmarks.synthetic_people import people
from face128.domain.descriptors import to_base64
from face128.domain.model_card import DLIB

DEFAULT_SIZES = (10_000, 100_000)
BLOCK_PEOPLE = 10_000

Step = Callable[[Place], Iterator[Measured]]
STEPS: dict[str, Step] = {
    "fill": size_steps.fill,
    "imports": size_steps.imports,
    "starts": size_steps.starts,
    "matches": size_steps.matches,
    "pages": size_steps.pages,
    "enrolments": size_steps.enrolments,
    "beside_searchers": size_steps.beside_searchers,
    "strangers": size_steps.strangers,
    "cohort": size_steps.cohort,
    "milvus": size_steps.milvus,
}


@dataclass
class Row:
    unit: str
    at_most: float | None
    values: dict[int, float] = field(default_factory=dict)


def measure() -> Report:
    sizes = [int(size) for size in os.environ.get("BENCH_FACES", "").split()] or list(DEFAULT_SIZES)
    return report(rows_of(sizes, list(STEPS)))


def rows_of(sizes: list[int], steps: list[str]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder), size)
            write_members(place.members, size)
            for name in dict.fromkeys(("fill", *steps)):
                for found in STEPS[name](place):
                    row = rows.setdefault(found.what, Row(found.unit, None))
                    row.values[size] = found.value
                    row.at_most = found.at_most if size == max(sizes) else row.at_most
                    print(f"{size:>9,}  {found.what}: {format_number(found.value)} {found.unit}", flush=True)
    return rows


def report(rows: dict[str, Row]) -> Report:
    """Each value beside that of the next smaller size; the notes name the growth."""
    result = Report(notes=["The people of the part sizes are synthetic, mixed from real ones."])
    for what, row in rows.items():
        before: tuple[int, float] | None = None
        for size, value in row.values.items():
            goal = row.at_most if size == max(row.values) else None
            peer, peer_value = ("", None) if before is None else (f"at {before[0]:,}", before[1])
            result.figures.append(Figure(f"{what}, at {size:,}", value, row.unit, peer, peer_value, at_most=goal))
            if before is not None and before[1]:
                growth = format_number(value / before[1])
                result.notes.append(f"{what}: {growth} times from {before[0]:,} to {size:,}.")
            before = size, value
    return result


def table(rows: dict[str, Row]) -> str:
    """Markdown: a column for each size, and the growth from each to the next."""
    sizes = sorted({size for row in rows.values() for size in row.values})
    steps = list(pairwise(sizes))
    heads = [f"{size:,}" for size in sizes] + [f"growth to {size:,}" for size in sizes[1:]]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for what, row in rows.items():
        cells = [f"{format_number(row.values[size])} {row.unit}" if size in row.values else "" for size in sizes]
        both = [small in row.values and large in row.values and row.values[small] > 0 for small, large in steps]
        cells += [
            f"{format_number(row.values[large] / row.values[small])}×" if known else ""
            for known, (small, large) in zip(both, steps, strict=True)
        ]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_members(file: Path, size: int, first: int = 0) -> None:
    """``size`` of them from the number ``first`` on, which is a multiple of BLOCK_PEOPLE."""
    with file.open("w") as out:
        out.write(f'{{"model": {json.dumps(DLIB.name)}, "enrolled": [')
        end = first + size
        for start in range(first, end, BLOCK_PEOPLE):
            for number, vector in enumerate(people(min(BLOCK_PEOPLE, end - start), seed=start), start):
                member = {"regNo": number, "name": f"Person {number}", "descriptor": to_base64(vector)}
                out.write((",\n" if number > first else "\n") + json.dumps(member))
        out.write("\n]}\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", nargs="+", type=int, default=list(DEFAULT_SIZES))
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    options = parser.parse_args()
    print(table(rows_of(sorted(options.faces), options.steps)))


if __name__ == "__main__":
    main()
