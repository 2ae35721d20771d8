"""The gallery on SQLite up to a million faces: search compared with bare FAISS, start, memory and enrolments.

All but a few of the descriptors are synthetic: real ones plus noise as large as the distance between strangers.
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

from benchmarks.harness import Figure, Report, interleave, medians, time_ms
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.encoding.encode import encode
from face128.engines.loader import load_engine
from face128.errors import NoFace
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.statements import next_version
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index_sync import FaissIndexSync
from face128.gallery.storage.tables import faces
from face128.photos.photo import Limits
from face128.settings import Settings

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 31
K = 5
BARE = "bare FAISS"
MIN_SEARCH_RATIO = 1 / 1.15  # from 100,000 faces on: at most 1.15 times the time of FAISS
MAX_START_S = 10.0
ENROL_S = 2.0
INSERT_BATCH_FACES = 10_000
PHOTOS = Path(__file__).parents[1] / "fixtures" / "photos"

# Runs in its own process. Prints the seconds from its first line, and the bytes that its memory grows by.
START_SCRIPT = """
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
        originals = fixture_descriptors()
        for size in SIZES:
            for start in range(gallery.page(0, 1)[0], size, INSERT_BATCH_FACES):
                stop = min(size, start + INSERT_BATCH_FACES)
                insert_faces(gallery, synthetic_descriptors(originals, start, stop, random), start)
            gallery.load()
            bare = _bare_index(gallery)
            probes = iter(perturbed(originals, random.integers(len(originals), size=ROUNDS + 1), random))
            times = _search_ms(gallery, bare, next(probes), probes)
            goal = MIN_SEARCH_RATIO if size >= 100_000 else None
            report.figures.append(
                Figure(f"search, top {K} of {size:,}, with freshness", times["face128"], "ms", BARE, times[BARE], goal)
            )
            for name, value in times.items():
                curve[name].append((size, value))
            check_ms = median(time_ms(gallery.load) for _ in range(ROUNDS))
            report.figures.append(Figure(f"freshness check alone, {size:,} faces", check_ms, "ms", at_most=1.0))
            report.figures.append(
                Figure(f"enrolments at {size:,}, one after the other", _enrolments_per_s(gallery, random), "/s")
            )
        gallery.close()
        seconds, memory = _start_gallery(url)
        report.figures += [
            Figure(f"start of the gallery with {SIZES[-1]:,} faces", seconds, "s", at_most=MAX_START_S),
            Figure("memory per face", memory / SIZES[-1], "bytes"),
        ]
    report.curves["faces in the gallery"] = curve
    return report


def _search_ms(
    gallery: Gallery, bare: faiss.IndexFlatL2, first: Descriptors, probes: Iterator[Descriptors]
) -> dict[str, float]:
    times: dict[str, list[float]] = {"face128": [], BARE: []}
    interleave(_contestants(gallery, bare, first), 2)  # warm-up
    for probe in probes:
        for name, runs in interleave(_contestants(gallery, bare, probe), 1).items():
            times[name] += runs
    return medians(times)


def _contestants(gallery: Gallery, bare: faiss.IndexFlatL2, probe: Descriptors) -> dict[str, Callable[[], object]]:
    return {"face128": lambda: gallery.search(Probe.of(DLIB, probe), K), BARE: lambda: bare.search(probe[None], K)}


def _bare_index(gallery: Gallery) -> faiss.IndexFlatL2:
    """The gallery's own FAISS index: two copies differ by a third in time, depending on their place in memory."""
    index = gallery._spaces.space(StoredSpace.of(DLIB)).index
    assert isinstance(index, FaissIndexSync)
    return index._indexes[DLIB.name]._flat


def fixture_descriptors() -> Descriptors:
    engine = load_engine("dlib", Settings())
    descriptors = []
    for photo in sorted(PHOTOS.glob("*.jpg")):
        try:
            descriptors.append(encode(engine, photo.read_bytes(), Limits(), "largest").descriptor)
        except NoFace:
            continue
    return np.array(descriptors)


def perturbed(originals: Descriptors, indices: object, random: np.random.Generator) -> Descriptors:
    """``originals[indices]`` plus noise."""
    base = originals[indices]
    return (base + random.normal(0, 0.06, base.shape)).astype(np.float32)


def synthetic_descriptors(originals: Descriptors, start: int, stop: int, random: np.random.Generator) -> Descriptors:
    """Descriptors ``start`` to ``stop`` of the gallery; the first are the originals."""
    block = perturbed(originals, random.integers(len(originals), size=stop - start), random)
    if start == 0:
        block[: len(originals)] = originals
    return block


def insert_faces(gallery: Gallery, vectors: Descriptors, start: int, photo: bytes = b"") -> None:
    """One of each of the people from number ``start`` on; ``photo`` tells a further one from the first."""
    rows = []
    for number, vector in enumerate(vectors, start):
        face = NewFace(vector, number.to_bytes(8, "big") + photo)
        rows.append(face.table_row(Person(f"Person {number}", f"p{number}"), DLIB, 0))
    with gallery.database.writing() as connection:
        version = next_version(connection)
        connection.execute(faces.insert(), [{**row, "version": version} for row in rows])


def _enrolments_per_s(gallery: Gallery, random: np.random.Generator) -> float:
    """Each enrolment is first compared with all faces. They are erased afterwards."""
    names = []
    start = time.perf_counter()
    while time.perf_counter() - start < ENROL_S:
        vector = random.normal(0, 0.1, DLIB.dimension).astype(np.float32)
        names.append(f"enrolled {random.integers(2**62)}")
        gallery.enrol(Person(names[-1], names[-1]), [NewFace(vector, vector.tobytes())], DLIB)
    rate = len(names) / (time.perf_counter() - start)
    for name in names:
        gallery.erase_user(name)
    return rate


def _start_gallery(url: str) -> tuple[float, float]:
    """Seconds, and bytes of memory."""
    command = [sys.executable, "-c", START_SCRIPT, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, grown = json.loads(f"[{done.stdout.strip().replace(' ', ',')}]")
    return float(seconds), float(grown)
