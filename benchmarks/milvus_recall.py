"""How many of the nearest faces each index of Milvus finds, and how fast: ``python -m benchmarks milvus_recall``.

The gallery has 100,000 synthetic people (BENCH_FACES="10000": another number), and the real ones that those are mixed
from, in milvus-lite. The probes are half real people and half synthetic ones, each moved as far as a second photo is
from the first. The truth is the search in the process, which is exact.
"""

from __future__ import annotations

import os
import tempfile
import time
from statistics import median

import numpy as np

from benchmarks.gallery import insert_faces
from benchmarks.harness import Figure, Report
from benchmarks.synthetic_people import people, real_descriptors
from face128.domain.descriptors import Descriptors
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.settings import MilvusIndexType

DEFAULT_FACES = 100_000
BATCH_FACES = 5_000
PROBES = 200
MAX_BUILD_S = 1800
IDLE_S = 3.0
SECOND_PHOTO = 0.35  # how far a second photo is from the first: about the median in lfw-view1
NEAREST = 5
INDEXES: tuple[MilvusIndexType, ...] = ("FLAT", "HNSW", "IVF_FLAT")
MAX_FIRST_MS = 250


def measure() -> Report:
    size = int(os.environ.get("BENCH_FACES", "").split()[-1] if os.environ.get("BENCH_FACES") else DEFAULT_FACES)
    report = Report(notes=[f"{size:,} synthetic people and {len(real_descriptors())} real ones, in milvus-lite."])
    everybody = np.concatenate([real_descriptors(), people(size, seed=1)])
    probes = _probes(everybody)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/gallery.sqlite"
        exact = Gallery(url)
        for start in range(0, len(everybody), BATCH_FACES):
            insert_faces(exact, everybody[start : start + BATCH_FACES], start)
        expected, of_exact = _nearest(exact, probes)
        report.figures.append(Figure(f"search in the process, {size:,} faces, CPU", of_exact, "ms"))
        for index in INDEXES:
            start_s = time.process_time()
            gallery = Gallery(url, f"{folder}/{index}.db", milvus_index=index)
            gallery.load()
            report.figures.append(Figure(f"{index}: load of {size:,}, CPU", time.process_time() - start_s, "s"))
            _, first_ms = _nearest(gallery, probes[:5])
            report.figures.append(Figure(f"{index}: a search right after the load, CPU", first_ms, "ms"))
            _wait_until_built()
            found, search_ms = _nearest(gallery, probes)
            report.figures.append(Figure(f"{index}: a search, CPU", search_ms, "ms", at_most=MAX_FIRST_MS))
            first_found = [own[:1] == true[:1] for own, true in zip(found, expected, strict=True)]
            common = [len(set(own) & set(true)) / NEAREST for own, true in zip(found, expected, strict=True)]
            report.figures.append(Figure(f"{index}: the nearest face is found", 100 * float(np.mean(first_found)), "%"))
            report.figures.append(
                Figure(f"{index}: of the {NEAREST} nearest are found", 100 * float(np.mean(common)), "%")
            )
            gallery.close()
            with exact.database.writing() as connection:  # the next Milvus is empty
                connection.exec_driver_sql("UPDATE state SET indexed = 0")
        exact.close()
    return report


def _probes(everybody: Descriptors) -> Descriptors:
    random = np.random.default_rng(2)
    real = len(real_descriptors())
    first = random.integers(0, real, PROBES // 2)
    chosen = everybody[np.concatenate([first, random.integers(real, len(everybody), PROBES - len(first))])]
    away = random.normal(0, 1, chosen.shape)
    moved: Descriptors = (chosen + SECOND_PHOTO * away / np.linalg.norm(away, axis=1, keepdims=True)).astype(np.float32)
    return moved


def _wait_until_built() -> None:
    """milvus-lite builds an index in this process, in the background; until then, it compares all vectors."""
    deadline = time.monotonic() + MAX_BUILD_S
    while True:
        before = time.process_time()
        time.sleep(IDLE_S)
        if time.process_time() - before < IDLE_S / 10:
            return
        assert time.monotonic() < deadline


def _nearest(gallery: Gallery, probes: Descriptors) -> tuple[list[list[str]], float]:
    """The ids of the nearest of each, and the median of the CPU times in milliseconds."""
    found, times = [], []
    for probe in probes:
        start = time.process_time()  # milvus-lite is in this process
        hits = gallery.search(Probe.of(DLIB, probe), NEAREST)
        times.append(time.process_time() - start)
        found.append([hit.record.id for hit in hits])
    return found, 1000 * median(times)
