"""A process that enrols, erases and reads in a gallery with a trail, until it is killed.

A line of its ledger is a deed that was acknowledged: the id of its request, the action and the person.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable

import numpy as np

from face128.caller import caller
from face128.domain.model_card import DLIB
from face128.errors import DatabaseUnavailable
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.logs import request_id

READERS = 8  # threads, whose notes share transactions
PAUSE_S = 0.02  # so that the other processes get their turn, too: SQLite does not queue


def main(url: str, path: str) -> None:
    gallery = Gallery(url, trail=True)
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def acknowledged(action: str, person: str) -> None:
        os.write(ledger, f"{request_id.get()} {action} {person}\n".encode())

    def begin() -> None:
        caller.set(f"writer-{os.getpid()}")
        request_id.set(uuid.uuid4().hex)

    def read() -> None:
        while True:
            begin()
            gallery.accounts.note("read", person="17")
            acknowledged("read", "17")
            time.sleep(PAUSE_S)

    def change() -> None:
        random = np.random.default_rng(os.getpid())
        while True:
            person = uuid.uuid4().hex
            descriptor = random.normal(0, 1, 128).astype(np.float32)
            begin()
            gallery.enrol(Person("Somebody", person), [NewFace(descriptor, descriptor.tobytes())], DLIB, force=True)
            acknowledged("enrol", person)
            begin()
            gallery.erase_user(person)
            acknowledged("erase", person)
            time.sleep(PAUSE_S)

    def in_spite_of_others(work: Callable[[], None]) -> None:
        while True:
            try:
                work()
            except DatabaseUnavailable:  # another writer was faster for some seconds: not acknowledged
                continue

    jobs = [change, *[read] * READERS]
    threads = [threading.Thread(target=in_spite_of_others, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
