"""POST /match with 1 to 10,000 members beside the naive service and beside a bare simdjson parse of the same body.

Each request has the members of the one before, as a backend sends them. What a list costs that is not known is
measured too, by a second service that is sent so many lists in turn that none of them is still kept.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import cycle

import numpy as np
import numpy.typing as npt
import simdjson

from benchmarks.harness import Curve, Figure, Report, interleave, medians, milliseconds
from benchmarks.services import FACE128, HEALTH, NAIVE, NO_NAIVE, Request, Service, started
from face128.domain.descriptors import to_base64

ROUNDS = {1: 200, 100: 100, 1_000: 30, 10_000: 12}  # by members
TIDYING = {1_000: 0.05, 10_000: 0.3}  # seconds: the naive service frees millions of objects after its answer
TURNS = {10_000: 3}  # new lists of each form by turns, else 9: more than are kept, by their memory or their number
AS_NUMBERS = {1_000: 6.0, 10_000: 9.0}
AS_BASE64 = {10_000: 30.0}
BARE_PARSE = 0.5  # half as fast as it: twice its time
LARGEST = 10_000
PROBES = 20
LIKENESS = 0.38  # a probe lies about this far from its member: half are matches, half are none

BARE = "bare simdjson parse"
NUMBERS, BASE64 = "as numbers", "as base64"
NEW = "a new list"


@cache
def body(members: int, form: str, seed: int = 0) -> Request:
    """A request with descriptors of random faces, and a probe LIKENESS away from one of them."""
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 1.35 / np.sqrt(128), (members, 128)).astype(np.float32)  # dlib's norms: 1.23 to 1.48
    away = random.normal(0, LIKENESS / np.sqrt(128), 128).astype(np.float32)

    def wire(vector: npt.NDArray[np.float32]) -> object:
        return to_base64(vector) if form == BASE64 else vector.tolist()

    enrolled = [{"regNo": 1000 + i, "name": f"Member {i}", "descriptor": wire(v)} for i, v in enumerate(vectors)]
    return Request("/match", json.dumps({"descriptor": wire(vectors[-1] + away), "enrolled": enrolled}).encode())


def measure() -> Report:
    report = Report()
    with started(FACE128, NAIVE) as services, started(FACE128) as second:
        if NAIVE in services:
            report.figures.append(_disagreements(services))
        else:
            report.notes.append(NO_NAIVE)
        report.curves["members"] = _by_members(services, second[FACE128], report)
        waits = {name: _longest_wait(service) for name, service in services.items()}
        wait_for_new = _longest_wait(second[FACE128], new=True)
        if (known := _known_lists(second[FACE128])) != 0:
            raise AssertionError(f"{known:.0f} of the new lists were known")
    size = len(body(LARGEST, NUMBERS).body or b"") / 1e6
    what = f"/health while a body of {size:.0f} MB comes to /match, longest wait"
    report.figures += [
        Figure(what, waits[FACE128], "ms", NAIVE, waits.get(NAIVE)),
        Figure(f"{what}, {NEW}", wait_for_new, "ms", NAIVE, waits.get(NAIVE)),
    ]
    return report


def _disagreements(services: dict[str, Service]) -> Figure:
    different = 0
    for seed in range(PROBES):
        answers = [json.loads(service.send(body(100, NUMBERS, seed))) for service in services.values()]
        answers.append(json.loads(services[FACE128].send(body(100, BASE64, seed))))
        different += any(answer != answers[0] for answer in answers)
    return Figure("/match: probes answered otherwise than by the naive service", different, f"of {PROBES}", at_most=0)


def _by_members(services: dict[str, Service], second: Service, report: Report) -> Curve:
    curve: Curve = {}
    parser = simdjson.Parser()
    for members, rounds in ROUNDS.items():
        numbers, base64 = body(members, NUMBERS), body(members, BASE64)
        new = {form: _new_lists(members, form) for form in (NUMBERS, BASE64)}
        turns: dict[str, Callable[[], object]] = {
            f"{FACE128}, {NUMBERS}": partial(services[FACE128].send, numbers),
            f"{FACE128}, {BASE64}": partial(services[FACE128].send, base64),
            f"{FACE128}, {NEW}, {NUMBERS}": lambda new=new[NUMBERS]: second.send(next(new)),
            f"{FACE128}, {NEW}, {BASE64}": lambda new=new[BASE64]: second.send(next(new)),
            BARE: partial(parser.parse, numbers.body),
        }
        if NAIVE in services:
            turns[NAIVE] = partial(services[NAIVE].send, numbers)
        interleave(turns, 2)
        typical = medians(interleave(turns, rounds, TIDYING.get(members, 0)))
        for name, value in typical.items():
            curve.setdefault(name, []).append((members, value))
        what = f"/match, {members:,} member{'s' if members > 1 else ''}"
        naive = typical.get(NAIVE)
        for kind in ("", f"{NEW}, "):
            as_numbers, as_base64 = (typical[f"{FACE128}, {kind}{form}"] for form in (NUMBERS, BASE64))
            name = f"{what}, {kind}"
            report.figures += [
                Figure(name + NUMBERS, as_numbers, "ms", NAIVE, naive, at_least=AS_NUMBERS.get(members)),
                Figure(name + BASE64, as_base64, "ms", f"{NAIVE}, {NUMBERS}", naive, at_least=AS_BASE64.get(members)),
            ]
            if members == LARGEST:
                bare = typical[BARE]
                report.figures.append(Figure(name + NUMBERS, as_numbers, "ms", BARE, bare, at_least=BARE_PARSE))
    return curve


def _new_lists(members: int, form: str) -> Iterator[Request]:
    """Requests without end, of which none has a list that is still kept."""
    return cycle([body(members, form, seed=1 + i) for i in range(TURNS.get(members, 9))])


def _known_lists(service: Service) -> float:
    """How many lists came to this service that were kept."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith('face128_lists_total{known="yes"}'))


def _longest_wait(service: Service, rounds: int = 10, *, new: bool = False) -> float:
    """The median, over so many large requests to /match, of the longest that /health took meanwhile: milliseconds."""
    waits = []
    requests = _new_lists(LARGEST, NUMBERS) if new else cycle([body(LARGEST, NUMBERS)])
    for _ in range(rounds):
        matching = threading.Thread(target=service.send, args=(next(requests),))
        matching.start()
        longest = 0.0
        while matching.is_alive():
            longest = max(longest, milliseconds(lambda: service.send(HEALTH)))
            time.sleep(0.001)
        waits.append(longest)
    return float(np.median(waits))
