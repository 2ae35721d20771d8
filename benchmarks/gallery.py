"""The gallery on SQLite: a search beside bare FAISS, the start, memory and enrolments, up to a million faces.

All but a few of the descriptors are synthetic: real ones, moved as far as strangers are apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from benchmarks.harness import Figure, Report, interleave, medians, milliseconds
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB
from face128.encoding.encode import encode
from face128.engines.loader import load_engine
from face128.errors import NoFace
from face128.gallery import writes
from face128.gallery.gallery import Gallery
from face128.gallery.records import NewFace, Person
from face128.gallery.tables import faces
from face128.photos.photo import Limits
from face128.settings import Settings

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 31
K = 5
BARE = "bare FAISS"
SEARCH_GOAL = 1 / 1.15  # from 100,000 faces on: at most 1.15 times FAISS's own time
START_GOAL = 10.0
BATCH = 10_000
PHOTOS = Path(__file__).parents[1] / "fixtures" / "photos"

# In a process of its own: the time from its first line, and what its memory grows by.
START = """
import sys, time
start = time.perf_counter()
from face128.gallery.gallery import Gallery
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096
gallery = Gallery(sys.argv[1])
before = resident()
gallery.load()
print(time.perf_counter() - start, resident() - before)
"""


def measure() -> Report:
    report = Report(notes=["All but five of the gallery's descriptors are synthetic, made around the real ones."])
    curve: dict[str, list[tuple[float, float]]] = {"face128": [], BARE: []}
    random = np.random.default_rng(128)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/gallery.sqlite"
        gallery = Gallery(url)
        originals = real()
        for size in SIZES:
            for start in range(gallery.page(0, 1)[0], size, BATCH):
                fill(gallery, synthetic(originals, start, min(size, start + BATCH), random), start)
            gallery.load()
            bare = _faiss(gallery)
            probes = iter(around(originals, random.integers(len(originals), size=ROUNDS + 1), random))
            times = _search(gallery, bare, next(probes), probes)
            goal = SEARCH_GOAL if size >= 100_000 else None
            report.figures.append(
                Figure(f"search, top {K} of {size:,}, with freshness", times["face128"], "ms", BARE, times[BARE], goal)
            )
            for name, value in times.items():
                curve[name].append((size, value))
            fresh = median(milliseconds(gallery.load) for _ in range(ROUNDS))
            report.figures.append(Figure(f"freshness check alone, {size:,} faces", fresh, "ms", at_most=1.0))
            report.figures.append(Figure(f"enrolments at {size:,}, one after the other", _enrol(gallery, random), "/s"))
        gallery.close()
        seconds, memory = _start(url)
        report.figures += [
            Figure(f"start of the gallery with {SIZES[-1]:,} faces", seconds, "s", at_most=START_GOAL),
            Figure("memory per face", memory / SIZES[-1], "bytes"),
        ]
    report.curves["faces in the gallery"] = curve
    return report


def _search(
    gallery: Gallery, bare: faiss.IndexFlatL2, first: Descriptors, probes: Iterator[Descriptors]
) -> dict[str, float]:
    times: dict[str, list[float]] = {"face128": [], BARE: []}
    interleave(_contestants(gallery, bare, first), 2)  # warm
    for probe in probes:
        for name, runs in interleave(_contestants(gallery, bare, probe), 1).items():
            times[name] += runs
    return medians(times)


def _contestants(gallery: Gallery, bare: faiss.IndexFlatL2, probe: Descriptors) -> dict[str, Callable[[], object]]:
    return {"face128": lambda: gallery.search(probe, DLIB, K), BARE: lambda: bare.search(probe[None], K)}


def _faiss(gallery: Gallery) -> faiss.IndexFlatL2:
    """The gallery's own index, asked directly: two copies differ by a third, by where they lie in memory."""
    return gallery._index._indexes[DLIB.name]._flat


def real() -> Descriptors:
    engine = load_engine("dlib", Settings())
    found = []
    for photo in sorted(PHOTOS.glob("*.jpg")):
        try:
            found.append(encode(engine, photo.read_bytes(), Limits(), "largest").descriptor)
        except NoFace:
            continue
    return np.array(found)


def around(real: Descriptors, which: object, random: np.random.Generator) -> Descriptors:
    base = real[which]
    return (base + random.normal(0, 0.06, base.shape)).astype(np.float32)


def synthetic(real: Descriptors, start: int, stop: int, random: np.random.Generator) -> Descriptors:
    block = around(real, random.integers(len(real), size=stop - start), random)
    if start == 0:
        block[: len(real)] = real
    return block


def fill(gallery: Gallery, vectors: Descriptors, start: int) -> None:
    rows = []
    for number, vector in enumerate(vectors, start):
        face = NewFace(vector, number.to_bytes(8, "big"))
        rows.append(face.table_row(Person(f"Person {number}", f"p{number}"), DLIB, 0))
    with gallery.database.writing() as connection:
        version = writes.next_version(connection)
        connection.execute(faces.insert(), [{**row, "version": version} for row in rows])


def _enrol(gallery: Gallery, random: np.random.Generator, seconds: float = 2.0) -> float:
    """How many a second; each is compared with everybody first. They are erased again."""
    names = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        vector = random.normal(0, 0.1, DLIB.dimension).astype(np.float32)
        names.append(f"enrolled {random.integers(2**62)}")
        gallery.enrol(Person(names[-1], names[-1]), [NewFace(vector, vector.tobytes())], DLIB)
    rate = len(names) / (time.perf_counter() - start)
    for name in names:
        gallery.erase_user(name)
    return rate


def _start(url: str) -> tuple[float, float]:
    command = [sys.executable, "-c", START, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, grown = json.loads(f"[{done.stdout.strip().replace(' ', ',')}]")
    return float(seconds), float(grown)
