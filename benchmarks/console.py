"""The console with 100,000 people: the time of each page, its bytes at first paint, and what open consoles cost /match.

CONSOLE_PEOPLE: as many people instead.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from itertools import cycle

import httpx
import numpy as np
from console_service import Console, console_service
from serving import photo

from benchmarks.gallery import INSERT_BATCH_FACES, insert_faces
from benchmarks.harness import Figure, Report, interleave, medians, percentile
from benchmarks.match import NUMBERS, match_request
from benchmarks.synthetic_people import people
from face128.domain.descriptors import Descriptors
from face128.gallery.gallery import Gallery

PEOPLE = int(os.environ.get("CONSOLE_PEOPLE", "100000"))
DECISIONS = 300
ROUNDS = 15
MAX_PAGE_MS = 300.0
MAX_FIRST_PAINT_KB = 100.0
MEASURING_S = 900.0  # for what is measured in the background, of which the pages tell

CONSOLES = 10
IN_USE = {"without": None, "open": 0, "in use": CONSOLES}
"""By what is beside /match: in how many of the consoles somebody opens a page every SECONDS_PER_PAGE. All follow the
decisions as they are made, and half of them the jobs on the page of the gallery's health."""
SECONDS_PER_PAGE = 3.0
WINDOWS, WINDOW_S, SETTLE_S = 4, 6.0, 1.5
PAUSE_S = 0.01
"""Between two requests of /match."""
MEMBERS = 1000
MIN_P99_RATIO = 1 / 1.2
JSON = {"Content-Type": "application/json"}

JOBS = "/console/health?part=jobs"
"""What the page of the gallery's health fetches every three seconds."""
PAGES = {
    "overview": "/console",
    "people": "/console/people",
    "people, a search": "/console/people?q=Person 9999",
    "people, the last page": "/console/people?after=p99998",
    "a person": "/console/person?id=p500",
    "merge": "/console/person/merge?id=p500&q=Person 5",
    "collections": "/console/collections",
    "enrol": "/console/enrol?id=p500",
    "try": "/console/try",
    "threshold": "/console/threshold",
    "threshold, moved": "/console/threshold?threshold=0.45&alpha=0.02",
    "decisions": "/console/decisions",
    "decisions, a person's": "/console/decisions?person=p500",
    "review": "/console/review",
    "health": "/console/health",
    "trail": "/console/trail",
    "keys": "/console/keys",
}


def measure() -> Report:
    report = Report(notes=[f"{PEOPLE:,} synthetic people, {PEOPLE // 100:,} of them with a second photo; SQLite."])
    with tempfile.TemporaryDirectory() as folder:
        descriptors = people(PEOPLE, 27)
        with closing(Gallery(f"sqlite:///{folder}/gallery.sqlite")) as gallery:
            for start in range(0, PEOPLE, INSERT_BATCH_FACES):
                insert_faces(gallery, descriptors[start : start + INSERT_BATCH_FACES], start)
            second = np.random.default_rng(1).normal(0, 0.02, (PEOPLE // 100, 128)).astype(np.float32)
            insert_faces(gallery, descriptors[: PEOPLE // 100] + second, 0, b"second")
        settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_TRAIL": "1", "FACE128_REVIEW_ALPHA": "0.05"}
        with console_service(FACE128_DATA=folder, **settings) as console, console.client() as client:
            _decide(console, descriptors)
            _wait_until_measured(client)
            report.figures += _page_times(client)
            report.figures += _first_paints(client)
            report.figures += _match_beside_consoles(console, client, descriptors)
    return report


def _decide(console: Console, descriptors: Descriptors) -> None:
    with console.api() as api:
        for vector in descriptors[:DECISIONS]:
            api.post("/match", content=_search(vector), headers=JSON).raise_for_status()


def _search(vector: Descriptors) -> bytes:
    """The body of a search in the gallery."""
    return json.dumps({"descriptor": vector.tolist()}).encode()


def _wait_until_measured(client: httpx.Client) -> None:
    """The comparison of all people with each other, the audit and the check of the trail."""
    deadline = time.monotonic() + MEASURING_S
    for path in ("/console/threshold", "/console/health", "/console/trail"):
        while re.search("data-comparing|data-measuring", _get(client, path).text) and time.monotonic() < deadline:
            time.sleep(1)


def _get(client: httpx.Client, path: str) -> httpx.Response:
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
    return answer


def _page_times(client: httpx.Client) -> Iterator[Figure]:
    contestants: dict[str, Callable[[], object]] = {name: partial(_get, client, path) for name, path in PAGES.items()}
    contestants["try, the answer to a photo"] = partial(_try, client)
    first = interleave(contestants, 1)
    times = interleave(contestants, ROUNDS)
    for name, value in medians(times).items():
        yield Figure(f"page: {name}", value, "ms", at_most=MAX_PAGE_MS)
        yield Figure(f"page: {name}, the slowest of {ROUNDS + 1}", max(times[name] + first[name]), "ms")


def _try(client: httpx.Client) -> None:
    answer = client.post("/console/try", files={"image": photo("obama-2012.jpg")})
    assert answer.status_code == 200, answer.text[:500]


def _first_paints(client: httpx.Client) -> Iterator[Figure]:
    for name, path in PAGES.items():
        yield Figure(f"first paint: {name}", _loaded_bytes(client, path) / 1000, "kB", at_most=MAX_FIRST_PAINT_KB)


def _loaded_bytes(client: httpx.Client, path: str) -> int:
    """Of the page, its files, and the modules that these import."""
    page = _get(client, path)
    waiting = [page.url.join(name) for name in re.findall(r'(?:href|src)="([^"]*/static/[^"]*)"', page.text)]
    sizes = {page.url: len(page.content)}
    while waiting:
        if (url := waiting.pop()) not in sizes:
            file = client.get(url)
            sizes[url] = len(file.content)
            waiting += [url.join(name) for name in re.findall(r"\bfrom '(\./[^']*)'", file.text)]
    return sum(sizes.values())


def _match_beside_consoles(console: Console, client: httpx.Client, descriptors: Descriptors) -> Iterator[Figure]:
    """The kinds of IN_USE take turns."""
    bodies = {
        f"/match, {MEMBERS:,} members": [match_request(MEMBERS, NUMBERS, seed).body or b"" for seed in range(8)],
        f"/match in the gallery, {PEOPLE:,} people": [_search(vector) for vector in descriptors[:100]],
    }
    times: dict[tuple[str, str], list[float]] = {(what, kind): [] for what in bodies for kind in IN_USE}
    with console.api() as api:
        for _ in range(WINDOWS):
            for kind, in_use in IN_USE.items():
                with nullcontext() if in_use is None else _open_consoles(console.url, dict(client.cookies), in_use):
                    for what, some in bodies.items():
                        times[what, kind] += _match_times(api, some)
    for what, kind in times:
        if kind != "without":
            for percent in (50, 99):
                without, beside = (percentile(times[what, each], percent) for each in ("without", kind))
                goal = MIN_P99_RATIO if (kind, percent) == ("open", 99) else None
                name = f"{what}, beside {CONSOLES} consoles that are {kind}: p{percent}"
                yield Figure(name, beside, "ms", "without", without, at_least=goal)


def _match_times(api: httpx.Client, bodies: list[bytes]) -> list[float]:
    times = []
    turns = cycle(bodies)
    end = time.perf_counter() + WINDOW_S
    while time.perf_counter() < end:
        body = next(turns)
        start = time.perf_counter()
        api.post("/match", content=body, headers=JSON).raise_for_status()
        times.append(1e3 * (time.perf_counter() - start))
        time.sleep(PAUSE_S)
    return times


@contextmanager
def _open_consoles(url: str, cookies: dict[str, str], in_use: int) -> Iterator[None]:
    """In a process of their own: only the service's work for them shall be seen."""
    process = multiprocessing.get_context("fork").Process(target=_consoles, args=(url, cookies, in_use), daemon=True)
    process.start()
    try:
        time.sleep(SETTLE_S)
        assert process.is_alive()
        yield
        assert process.is_alive(), "a console had another answer than 200"
    finally:
        process.kill()
        process.join()


def _consoles(url: str, cookies: dict[str, str], in_use: int) -> None:
    async def follow(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/console/decisions/events", timeout=None) as events:
            assert events.status_code == 200
            async for _ in events.aiter_bytes():
                pass

    async def open_pages(client: httpx.AsyncClient, number: int, paths: list[str]) -> None:
        await asyncio.sleep(number * SECONDS_PER_PAGE / CONSOLES)
        for path in cycle(paths[number % len(paths) :] + paths[: number % len(paths)]):
            (await client.get(path)).raise_for_status()
            await asyncio.sleep(SECONDS_PER_PAGE)

    async def run() -> None:
        limits = httpx.Limits(max_connections=4 * CONSOLES)
        async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=60, limits=limits) as client:
            tasks = [follow(client) for _ in range(CONSOLES)]
            tasks += [open_pages(client, number, [JOBS]) for number in range(CONSOLES // 2)]
            tasks += [open_pages(client, number, [*PAGES.values()]) for number in range(in_use)]
            await asyncio.gather(*tasks)

    asyncio.run(run())
