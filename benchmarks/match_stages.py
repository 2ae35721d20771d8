"""What a new list as numbers costs /match, stage by stage: CPU time without HTTP, and so the least that is possible.

    python -m benchmarks.match_stages

More than half is simdjson's own parse, which no change of ours makes shorter; the benchmark ``match`` has the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import simdjson

from benchmarks.match import NUMBERS, match_request
from face128.match_body import parser
from face128.match_body.incoming_body import IncomingBody
from face128.match_body.list_cache import ListCache
from face128.matching.decision import decide
from face128.process_memory import keep_freed_pages

CHUNK_BYTES = 256_000  # as uvloop reads them
ROUNDS = {1_000: 40, 10_000: 10}  # by members


def stages(members: int) -> dict[str, float]:
    """Median CPU milliseconds of each stage."""
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.thread_time()
        result = work()
        times.setdefault(stage, []).append(1e3 * (time.thread_time() - start))
        return result

    def received(body: bytes, cache: ListCache) -> IncomingBody:
        incoming = IncomingBody(cache)
        for start in range(0, len(body), CHUNK_BYTES):
            incoming.append(body[start : start + CHUNK_BYTES])
        return incoming

    bare = simdjson.Parser()
    for round_ in range(ROUNDS[members]):
        cache, body = ListCache(2**30), match_request(members, NUMBERS, seed=1 + round_ % 3).body or b""
        whole = timed("store the body", lambda body=body, cache=cache: received(body, cache).whole())
        timed("simdjson alone", lambda whole=whole: bare.parse(whole) and None)
        request = timed("parse into arrays, with simdjson", lambda whole=whole: parser.parse(whole))
        timed("cache the list", lambda whole=whole, request=request, cache=cache: cache.put(whole, request))
        timed("decide", lambda request=request: decide(request))
        known = timed("compare with the known list", lambda body=body, cache=cache: received(body, cache))
        assert known.cached_request(request.rule) is not None
    return {stage: median(each) for stage, each in times.items()}


def note() -> str:
    """One sentence for the report."""
    parts = []
    for members in ROUNDS:
        costs = ", ".join(f"{stage} {value:.2f}" for stage, value in stages(members).items())
        parts.append(f"{members:,} members as numbers: {costs}")
    return f"CPU time of /match's stages in ms, without HTTP (`python -m benchmarks.match_stages`). {'; '.join(parts)}."


if __name__ == "__main__":
    keep_freed_pages(None)  # as the service does
    print(note())
