"""The steps of benchmarks/sizes.py: what is measured in a gallery of one size."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from statistics import median

from benchmarks.harness import percentile, time_ms
from benchmarks.processes import resource_usage
from benchmarks.size_place import (
    ROUNDS,
    WAIT_S,
    WARM_UP_S,
    Measured,
    Place,
    body,
    cpu_seconds,
    cpu_time_ms,
    median_cpu_ms,
    new_people,
    probe,
    run,
    search,
    serving,
    wait_until,
)
from face128.domain.decision_rule import Rule
from face128.gallery.cohort.cohort_follower import MAX_COHORT_FACES
from face128.terminal.speech import plural

TRAFFIC_S = 10.0
SPARE_S = 3.0  # that the searchers go on for longer than the enrolments
PAGE = 100
MAX_ENROLMENTS = 5_000
MAX_MILVUS_FACES = 100_000
_SEARCHED = re.compile(r'face128_stage_duration_seconds_count\{stage="search"\} (?!0\.0)')


def fill(place: Place) -> Iterator[Measured]:
    """The gallery of all other steps: without a comparison."""
    cpu_s, peak_mb = run("gallery", "import", place.members, "--force", FACE128_DATA=str(place.data))
    yield Measured("gallery import --force: CPU", cpu_s, "s")
    yield Measured("gallery import --force: memory", peak_mb, "MB")


def imports(place: Place) -> Iterator[Measured]:
    """All pairs are compared."""
    cpu_s, peak_mb = run("gallery", "import", place.members, FACE128_DATA=str(place.folder / "compared"))
    yield Measured("gallery import: CPU", cpu_s, "s", at_most=40.0)
    yield Measured("gallery import: memory", peak_mb, "MB", at_most=400.0)


def starts(place: Place) -> Iterator[Measured]:
    start = time.monotonic()
    with serving(place, wait="/health") as (process, client):
        wait_until(lambda: client.post("/match", json=body(0)).status_code == 200)
        yield Measured("start to the first /match", time.monotonic() - start, "s")
        yield Measured("start to the first /match: CPU", cpu_seconds(process), "s")
        wait_until(lambda: client.get("/ready").status_code == 200)
        yield Measured("memory of a process", resource_usage(process.pid).memory_mb, "MB")


def matches(place: Place) -> Iterator[Measured]:
    for workers, clients in ((1, 1), (1, 4), (2, 4)):
        with serving(place, workers=workers) as (process, client):
            wait_until(lambda: "expected_fpir{" in client.get("/metrics").text)  # else that is measured meanwhile
            before = cpu_seconds(process)
            times = search(int(client.base_url.port or 0), clients, TRAFFIC_S)
            cpu_ms = 1e3 * (cpu_seconds(process) - before) / (len(times) * (1 + WARM_UP_S / TRAFFIC_S))
        what = f"/match, {plural(clients, 'client')}, {plural(workers, 'worker')}"
        yield Measured(f"{what}: p50", percentile(times, 50), "ms")
        yield Measured(f"{what}: p99", percentile(times, 99), "ms")
        yield Measured(f"{what}: CPU of the service", cpu_ms, "ms")


def pages(place: Place) -> Iterator[Measured]:
    with serving(place) as (_, client):
        for which, skip in (("first", 0), ("last", place.size - PAGE)):
            ask = partial(client.get, "/records", params={"skip": skip, "limit": PAGE})
            ask()
            yield Measured(f"/records, the {which} {PAGE}", median(time_ms(ask) for _ in range(ROUNDS)), "ms")
    with closing(place.gallery()) as gallery:
        ids = [record.id for record in gallery.page(place.size // 2, ROUNDS + 1)[1]]
        yield Measured("gallery.record(): CPU", median_cpu_ms([partial(gallery.record, each) for each in ids]), "ms")


def enrolments(place: Place) -> Iterator[Measured]:
    with closing(place.gallery()) as gallery:
        gallery.load()
        yield Measured("an enrolment, compared with all: CPU", median_cpu_ms(list(new_people(gallery, 1))), "ms")


def beside_searchers(place: Place) -> Iterator[Measured]:
    """Another process of the same gallery enrols while four clients search one service."""
    with serving(place) as (_, client), closing(place.gallery()) as gallery:
        gallery.load()
        arguments = client.base_url.port, 4, TRAFFIC_S + SPARE_S
        searching = multiprocessing.get_context("spawn").Process(target=search, args=arguments)
        searching.start()
        wait_until(lambda: _SEARCHED.search(client.get("/metrics").text) is not None)
        jobs, times = new_people(gallery, 2, MAX_ENROLMENTS), list[float]()
        end = time.monotonic() + TRAFFIC_S
        while time.monotonic() < end:
            times.append(time_ms(next(jobs)))
        searching.join(WAIT_S)
    yield Measured("enrolments beside 4 searchers", len(times) / TRAFFIC_S, "/s")
    yield Measured("enrolments beside 4 searchers: p99", percentile(times, 99), "ms")


def strangers(place: Place) -> Iterator[Measured]:
    with closing(place.gallery()) as gallery:
        gallery.load()
        start = time.process_time()
        gallery.strangers.measure(WAIT_S)
        yield Measured("expected FPIR, from 1,000 photos: CPU", time.process_time() - start, "s")
        start = time.process_time()
        asked = gallery.what_if.ask(gallery.what_if.cards()[0])
        assert asked.running is not None
        asked.running.result(WAIT_S)
        yield Measured("what another threshold would do, compared once: CPU", time.process_time() - start, "s")


def cohort(place: Place) -> Iterator[Measured]:
    whole = place.size <= MAX_COHORT_FACES
    start = time.monotonic()
    with serving(place, wait="/health", FACE128_DECISION="cohort") as (process, client):
        wait_until(lambda: client.get("/ready").status_code == 200)
        yield Measured("cohort: start to an estimate", time.monotonic() - start, "s", at_most=10.0)
        yield Measured("cohort: start to an estimate: CPU", cpu_seconds(process), "s")
        if whole:
            ask = partial(client.post, "/match?explain=true", json=body(0))
            wait_until(lambda: ask().json().get("decision", {}).get("tail") == "exact")
            yield Measured("cohort: start to all compared", time.monotonic() - start, "s", at_most=120.0)
            yield Measured("cohort: start to all compared: CPU", cpu_seconds(process), "s")
    with closing(place.gallery()) as gallery:
        gallery.load()
        while not gallery.build_cohorts(WAIT_S, "exact" if whole else "auto"):
            pass
        rule, at_rest, changed = Rule("cohort"), list[float](), list[float]()
        for number, enrol in enumerate(new_people(gallery, 3)):
            match = partial(gallery.match, probe(number), rule=rule)
            at_rest.append(cpu_time_ms(match))
            enrol()
            changed.append(cpu_time_ms(match))
    yield Measured("/match by the cohort rule: CPU", median(at_rest), "ms")
    more_ms = median(changed) - median(at_rest)
    yield Measured("cohort: the first /match after an enrolment: CPU more", more_ms, "ms", at_most=40.0)


def milvus(place: Place) -> Iterator[Measured]:
    """Right after the load, in milvus-lite."""
    if place.size > MAX_MILVUS_FACES:
        return
    try:
        from pymilvus import MilvusClient
    except ModuleNotFoundError:
        return
    uri = f"{place.folder}/milvus.db"
    MilvusClient(uri=uri)  # two first clients at once would fail
    with closing(place.gallery(uri)) as gallery:
        gallery.load()
        search_ms = median(time_ms(partial(gallery.search, probe(n), 5)) for n in range(ROUNDS))
        yield Measured("milvus-lite: a search right after a load", search_ms, "ms", at_most=250.0)
