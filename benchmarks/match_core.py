"""The core of /match compared with the naive service's code on the same body: time, and equal decisions.

    python benchmarks/match_core.py [--members 1000 10000] [--rounds 15]

No HTTP: bytes in, decision out. The naive code uses json, a Pydantic model and face_recognition's distances. It reads
numbers only; face128's other forms of the same request are compared with that. The contestants take turns, so that
other load on the machine affects all of them; times are medians.
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


def request_bodies(members: int) -> Iterator[tuple[str, bytes]]:
    """The same request in each form. Descriptors have a realistic spread; the probe is a member plus noise."""
    random = np.random.default_rng(members)
    vectors = random.normal(0, 0.07, (members, 128)).astype(np.float32)
    probe = vectors[members // 2] + random.normal(0, 0.01, 128).astype(np.float32)
    forms: dict[str, Callable[[Any], Any]] = {
        "numbers": lambda vector: vector.tolist(),
        "base64": to_base64,
        "Float32Array objects": lambda vector: dict(enumerate(vector.tolist())),
    }
    for name, form in forms.items():
        enrolled = [
            {"regNo": 1000 + i, "name": f"Member {i}", "descriptor": form(vector)} for i, vector in enumerate(vectors)
        ]
        yield name, json.dumps({"descriptor": form(probe), "enrolled": enrolled}, separators=(",", ":")).encode()


def main(sizes: list[int], rounds: int) -> None:
    parser = simdjson.Parser()
    for members in sizes:
        forms = dict(request_bodies(members))
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
        naive_s = median(times["naive, numbers"])
        print(f"\n{members:,} members" + f"{'ms':>52}{'naive / this':>15}{'this / bare parse':>20}")
        for name, seconds in times.items():
            form = name.rpartition(", ")[2]
            ours = name.startswith("face128")
            bare = f"{median(seconds) / median(times[f'bare simdjson parse, {form}']):20.2f}" if ours else ""
            size = f"{len(forms[form]) / 1e6:.1f} MB"
            print(f"{name:40}{size:>10}{1e3 * median(seconds):16.2f}{naive_s / median(seconds):15.1f}{bare}")
            if ours:
                assert answers[name] == answers["naive, numbers"], name
        print("All decisions are equal.")


if __name__ == "__main__":
    argument_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument_parser.add_argument("--members", type=int, nargs="+", default=[1000, 10_000])
    argument_parser.add_argument("--rounds", type=int, default=15)
    options = argument_parser.parse_args()
    main(options.members, options.rounds)
