"""What an encrypted gallery costs beside one in clear, on SQLite: processor time of a start, a match, an enrolment.

``FACE128_BENCH_FACES`` is the number of faces, of four for each person; 100,000 by default. The two sides take turns.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.harness import Figure, Report
from face128.domain.gallery_keys import new_gallery_key
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.statements import insert_faces, next_version
from face128.settings import load_settings

FACES, PHOTOS = 100_000, 4
STARTS, MATCHES, ENROLMENTS, ERASURES = 3, 600, 200, 60
BLOCK = 500
KINDS = ("in clear", "encrypted")


def measure() -> Report:
    count = int(os.environ.get("FACE128_BENCH_FACES", FACES))
    random = np.random.default_rng(26)
    people = random.normal(0, 0.1, (count // PHOTOS, DLIB.dimension))
    faces = (people.repeat(PHOTOS, 0) + random.normal(0, 0.02, (count, DLIB.dimension))).astype(np.float32)
    key = new_gallery_key()
    with tempfile.TemporaryDirectory() as name:
        settings = {
            kind: load_settings(data=Path(name) / kind, **({"gallery_key": key} if kind == "encrypted" else {}))
            for kind in KINDS
        }
        for kind in KINDS:
            with closing(Gallery.from_settings(settings[kind])) as gallery:
                fill(gallery, faces)
        starts: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(STARTS):
            for kind in KINDS:
                with closing(Gallery.from_settings(settings[kind])) as gallery:
                    starts[kind].append(seconds(gallery.load))
        galleries = {kind: Gallery.from_settings(settings[kind]) for kind in KINDS}
        for gallery in galleries.values():
            gallery.load()
        probes = faces[random.integers(0, count, MATCHES)] + random.normal(0, 0.005, (MATCHES, DLIB.dimension))
        strangers = random.normal(0, 0.1, (ENROLMENTS, DLIB.dimension)).astype(np.float32)
        jobs: dict[str, list[Callable[[Gallery], object]]] = {
            "match": [lambda gallery, p=p: gallery.match(Probe.of(DLIB, p)) for p in probes.astype(np.float32)],  # type: ignore[misc]
            "enrolment": [
                lambda gallery, n=n, v=v: gallery.enrol(Person("X", f"new {n}"), [NewFace(v, v.tobytes())], DLIB)  # type: ignore[misc]
                for n, v in enumerate(strangers)
            ],
            "erasure": [lambda gallery, n=n: gallery.erase_user(f"new {n}") for n in range(ERASURES)],  # type: ignore[misc]
        }
        figures = [_figure(f"start with {count:,} faces", "s", starts, 1)]
        for what, deeds in jobs.items():
            taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for turn, deed in enumerate(deeds):
                for kind in KINDS if turn % 2 else KINDS[::-1]:
                    taken[kind].append(seconds(lambda deed=deed, kind=kind: deed(galleries[kind])))  # type: ignore[misc]
            figures.append(_figure(f"{what} among {count:,} faces", "ms", taken, 1000))
        for gallery in galleries.values():
            gallery.close()
    return Report(figures, notes=["Medians of this thread's processor time. An enrolment waits for the disk, too."])


def fill(gallery: Gallery, faces: np.ndarray) -> None:
    for start in range(0, len(faces), BLOCK):
        with gallery.database.writing() as connection:
            version = next_version(connection)
            rows = [
                NewFace(face, face.tobytes()).table_row(Person(f"Name {n}", f"{n}"), DLIB, version)
                for n, face in ((i // PHOTOS, faces[i]) for i in range(start, min(start + BLOCK, len(faces))))
            ]
            insert_faces(connection, rows)


def seconds(job: Callable[[], object]) -> float:
    start = time.thread_time()
    job()
    return time.thread_time() - start


def _figure(what: str, unit: str, taken: dict[str, list[float]], scale: float) -> Figure:
    clear, sealed = (scale * statistics.median(taken[kind]) for kind in KINDS)
    return Figure(f"{what}, encrypted", sealed, unit, "in clear", clear)
