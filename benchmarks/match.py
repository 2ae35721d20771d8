"""POST /match with 1 to 10,000 members, compared with the naive service and a bare simdjson parse of the same body.

The usual request has the members of the previous one, as from a backend: large lists are cache hits. A second service
receives so many lists in turn that each is a new list, a cache miss.
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

from benchmarks.harness import Curve, Figure, Report, interleave, medians, time_ms
from benchmarks.services import FACE128, HEALTH, NAIVE, NO_NAIVE, Request, Service, started
from face128.domain.descriptors import to_base64

ROUNDS = {1: 200, 100: 100, 1_000: 30, 10_000: 12}  # by members
PAUSE_S = {1_000: 0.05, 10_000: 0.3}  # by members: the naive service frees millions of objects after its answer
NEW_LISTS = {10_000: 3}  # of each form, in turn; else 9. More than the cache holds, in bytes or in number
LARGEST_MEMBERS = 10_000
PROBES = 20
PROBE_DISTANCE = 0.38  # typical distance of a probe from its member: half of the probes match

BARE_PARSE = "bare simdjson parse"
NUMBERS, BASE64 = "as numbers", "as base64"
NEW_LIST = "a new list"
MIN_SPEEDUP = {
    # Usual lists, from 1,000 members on: the ratios of 28 November 2026 (16.4, 26.3; 20.7, 60.5), less 10 % for noise.
    NUMBERS: {1: 1.1, 100: 3.0, 1_000: 15.0, 10_000: 24.0},
    BASE64: {1_000: 19.0, 10_000: 54.0},
    f"{NEW_LIST}, {NUMBERS}": {1_000: 6.0, 10_000: 9.0},
    f"{NEW_LIST}, {BASE64}": {10_000: 24.0},
}
"""Compared with the naive service, by kind of list and by members."""
MIN_BARE_PARSE_RATIO = 0.5  # at most twice its time


@cache
def match_request(members: int, form: str, seed: int = 0) -> Request:
    """A request with random descriptors, and a probe about PROBE_DISTANCE away from one of them."""
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 1.35 / np.sqrt(128), (members, 128)).astype(np.float32)  # dlib's norms: 1.23 to 1.48
    noise = random.normal(0, PROBE_DISTANCE / np.sqrt(128), 128).astype(np.float32)

    def wire(vector: npt.NDArray[np.float32]) -> object:
        return to_base64(vector) if form == BASE64 else vector.tolist()

    enrolled = [{"regNo": 1000 + i, "name": f"Member {i}", "descriptor": wire(v)} for i, v in enumerate(vectors)]
    return Request("/match", json.dumps({"descriptor": wire(vectors[-1] + noise), "enrolled": enrolled}).encode())


def measure() -> Report:
    report = Report()
    with started(FACE128, NAIVE) as services, started(FACE128) as second:
        if NAIVE in services:
            report.figures.append(_disagreements(services))
        else:
            report.notes.append(NO_NAIVE)
        report.curves["members"] = _by_members(services, second[FACE128], report)
        waits_ms = {name: _longest_wait_ms(service) for name, service in services.items()}
        new_list_wait_ms = _longest_wait_ms(second[FACE128], new=True)
        if (hits := _cache_hits(second[FACE128])) != 0:
            raise AssertionError(f"{hits:.0f} of the new lists were cached")
    size = len(match_request(LARGEST_MEMBERS, NUMBERS).body or b"") / 1e6
    what = f"/health while a body of {size:.0f} MB comes to /match, longest wait"
    report.figures += [
        Figure(what, waits_ms[FACE128], "ms", NAIVE, waits_ms.get(NAIVE)),
        Figure(f"{what}, {NEW_LIST}", new_list_wait_ms, "ms", NAIVE, waits_ms.get(NAIVE)),
    ]
    return report


def _disagreements(services: dict[str, Service]) -> Figure:
    different = 0
    for seed in range(PROBES):
        answers = [json.loads(service.send(match_request(100, NUMBERS, seed))) for service in services.values()]
        answers.append(json.loads(services[FACE128].send(match_request(100, BASE64, seed))))
        different += any(answer != answers[0] for answer in answers)
    return Figure("/match: probes answered otherwise than by the naive service", different, f"of {PROBES}", at_most=0)


def _by_members(services: dict[str, Service], second: Service, report: Report) -> Curve:
    curve: Curve = {}
    parser = simdjson.Parser()
    for members, rounds in ROUNDS.items():
        numbers, base64 = match_request(members, NUMBERS), match_request(members, BASE64)
        new = {form: _new_lists(members, form) for form in (NUMBERS, BASE64)}
        contestants: dict[str, Callable[[], object]] = {
            f"{FACE128}, {NUMBERS}": partial(services[FACE128].send, numbers),
            f"{FACE128}, {BASE64}": partial(services[FACE128].send, base64),
            f"{FACE128}, {NEW_LIST}, {NUMBERS}": lambda new=new[NUMBERS]: second.send(next(new)),
            f"{FACE128}, {NEW_LIST}, {BASE64}": lambda new=new[BASE64]: second.send(next(new)),
            BARE_PARSE: partial(parser.parse, numbers.body),
        }
        if NAIVE in services:
            contestants[NAIVE] = partial(services[NAIVE].send, numbers)
        interleave(contestants, 2)
        typical = medians(interleave(contestants, rounds, PAUSE_S.get(members, 0)))
        for name, value in typical.items():
            curve.setdefault(name, []).append((members, value))
        what = f"/match, {members:,} member{'s' if members > 1 else ''}"
        for kind, goals in MIN_SPEEDUP.items():
            value, goal = typical[f"{FACE128}, {kind}"], goals.get(members)
            peer = f"{NAIVE}, {NUMBERS}" if BASE64 in kind else NAIVE
            report.figures.append(Figure(f"{what}, {kind}", value, "ms", peer, typical.get(NAIVE), goal))
            if members == LARGEST_MEMBERS and NUMBERS in kind:
                bare_ms = typical[BARE_PARSE]
                report.figures.append(Figure(f"{what}, {kind}", value, "ms", BARE_PARSE, bare_ms, MIN_BARE_PARSE_RATIO))
    return curve


def _new_lists(members: int, form: str) -> Iterator[Request]:
    """Endless requests. No list is still cached when it comes again."""
    return cycle([match_request(members, form, seed=1 + i) for i in range(NEW_LISTS.get(members, 9))])


def _cache_hits(service: Service) -> float:
    """Hits of the service's list cache."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith('face128_lists_total{known="yes"}'))


def _longest_wait_ms(service: Service, rounds: int = 10, *, new: bool = False) -> float:
    """The longest time of /health during a large request to /match: the median of ``rounds`` requests."""
    waits_ms = []
    requests = _new_lists(LARGEST_MEMBERS, NUMBERS) if new else cycle([match_request(LARGEST_MEMBERS, NUMBERS)])
    for _ in range(rounds):
        matching = threading.Thread(target=service.send, args=(next(requests),))
        matching.start()
        longest_ms = 0.0
        while matching.is_alive():
            longest_ms = max(longest_ms, time_ms(lambda: service.send(HEALTH)))
            time.sleep(0.001)
        waits_ms.append(longest_ms)
    return float(np.median(waits_ms))
