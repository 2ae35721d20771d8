"""The core of /match beside what the naive service does with the same body: time, and whether they decide alike.

    python benchmarks/match_core.py [--members 1000 10000] [--rounds 15]

No HTTP: bytes in, decision out. The naive way is the usual one: JSON, a Pydantic model, face_recognition's distances.
It reads numbers only; the other forms are compared with it as well, being what its clients could send instead. The
contestants take turns, so that whatever else the machine does meets all of them; a time is a median.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import face_recognition
import numpy as np
import simdjson
from pydantic import BaseModel

from face128.domain.descriptors import to_base64
from face128.match_body.parser import parse
from face128.matching.decision import decide


class Member(BaseModel):
    regNo: int
    name: str
    descriptor: list[float]


class Request(BaseModel):
    descriptor: list[float]
    enrolled: list[Member]


def naive(body: bytes) -> Any:
    request = Request.model_validate(json.loads(body))
    distances = face_recognition.face_distance(
        np.array([member.descriptor for member in request.enrolled]), np.array(request.descriptor)
    )
    best = int(np.argmin(distances))
    member = request.enrolled[best]
    return {"regNo": member.regNo, "name": member.name} if distances[best] <= 0.38 else {"match": False}


def face128(body: bytes) -> Any:
    return decide(parse(body)).answer()


def bodies(members: int) -> Iterator[tuple[str, bytes]]:
    """The same request in each form; the descriptors are spread as real ones are, and the probe is a noisy member."""
    random = np.random.default_rng(members)
    known = random.normal(0, 0.07, (members, 128)).astype(np.float32)
    probe = known[members // 2] + random.normal(0, 0.01, 128).astype(np.float32)
    forms: dict[str, Callable[[Any], Any]] = {
        "numbers": lambda vector: vector.tolist(),
        "base64": to_base64,
        "Float32Array objects": lambda vector: dict(enumerate(vector.tolist())),
    }
    for name, form in forms.items():
        enrolled = [
            {"regNo": 1000 + i, "name": f"Member {i}", "descriptor": form(vector)} for i, vector in enumerate(known)
        ]
        yield name, json.dumps({"descriptor": form(probe), "enrolled": enrolled}, separators=(",", ":")).encode()


def main(sizes: list[int], rounds: int) -> None:
    parser = simdjson.Parser()
    for members in sizes:
        forms = dict(bodies(members))
        contestants: dict[str, Callable[[], Any]] = {"naive, numbers": lambda forms=forms: naive(forms["numbers"])}
        for name, body in forms.items():
            contestants[f"bare simdjson parse, {name}"] = lambda body=body: parser.parse(body) and None
            contestants[f"face128, {name}"] = lambda body=body: face128(body)
        answers = {name: run() for name, run in contestants.items()}
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        slowest = median(times["naive, numbers"])
        print(f"\n{members:,} members" + f"{'ms':>52}{'naive / this':>15}{'this / bare parse':>20}")
        for name, taken in times.items():
            form = name.rpartition(", ")[2]
            ours = name.startswith("face128")
            bare = f"{median(taken) / median(times[f'bare simdjson parse, {form}']):20.2f}" if ours else ""
            size = f"{len(forms[form]) / 1e6:.1f} MB"
            print(f"{name:40}{size:>10}{1e3 * median(taken):16.2f}{slowest / median(taken):15.1f}{bare}")
            if ours:
                assert answers[name] == answers["naive, numbers"], name
        print("All decide alike.")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--members", type=int, nargs="+", default=[1000, 10_000])
    arguments.add_argument("--rounds", type=int, default=15)
    given = arguments.parse_args()
    main(given.members, given.rounds)
