"""What a trail and kept decisions cost beside neither, on SQLite: an enrolment, and searches of 1 and of 4 clients.

The galleries take turns.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import numpy as np

from benchmarks.harness import Figure, Report
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.people.retention import Retention
from face128.gallery.rows.records import NewFace, Person

FACES, ENROLMENTS, ROUNDS, SEARCHES = 1000, 200, 20, 40
KINDS = {"neither": (None, 0), "a trail": (True, 0), "a trail and decisions": (True, 30)}
"""By name: whether there is a trail, and how long decisions are kept."""


def measure() -> Report:
    random = np.random.default_rng(26)
    faces = random.normal(0, 0.1, (FACES, DLIB.dimension)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        galleries = {}
        for name, (trail, days) in KINDS.items():
            url, kept = f"sqlite:///{folder}/{name}.sqlite", Retention(decision_days=days)
            galleries[name] = opened.enter_context(closing(Gallery(url, trail=trail, retention=kept)))
            for start in range(0, FACES, 50):
                enrol(galleries[name], f"member {start}", faces[start : start + 50])
        enrolments: dict[str, list[float]] = {name: [] for name in KINDS}
        for number in range(ENROLMENTS):
            stranger = random.normal(0, 0.3, (1, DLIB.dimension)).astype(np.float32)
            for name, gallery in galleries.items():
                enrolments[name].append(seconds(lambda g=gallery, n=number, s=stranger: enrol(g, f"new {n}", s)))  # type: ignore[misc]
        figures = [_milliseconds("enrolment", name, taken) for name, taken in enrolments.items()]
        for clients in (1, 4):
            searches: dict[str, list[float]] = {name: [] for name in KINDS}
            for _ in range(ROUNDS):
                for name, gallery in galleries.items():
                    searches[name] += ask(gallery, faces[17], clients)
            what = f"search of {clients} {'client' if clients == 1 else 'clients at once'}"
            figures += [_milliseconds(what, name, taken) for name, taken in searches.items()]
    return Report(figures, notes=["Medians. With decisions a search waits for a commit, which clients share."])


def enrol(gallery: Gallery, user_id: str, descriptors: np.ndarray) -> None:
    gallery.enrol(Person("Somebody", user_id), [NewFace(one, one.tobytes()) for one in descriptors], DLIB, force=True)


def ask(gallery: Gallery, probe: np.ndarray, clients: int) -> list[float]:
    """The seconds of each search, and of what is kept of it, as a route does it."""
    taken: list[float] = []

    def search() -> None:
        gallery.accounts.keep_search(gallery.match(Probe.of(DLIB, probe)))

    def client() -> None:
        for _ in range(SEARCHES):
            taken.append(seconds(search))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _milliseconds(what: str, kind: str, taken: list[float]) -> Figure:
    return Figure(f"{what}, {kind}", 1000 * statistics.median(taken), "ms")
