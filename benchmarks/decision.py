"""The cohort rule compared with the threshold rule, on cached lists of /match and on a gallery; and its first use."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np

from benchmarks.gallery import INSERT_BATCH_FACES, fixture_descriptors, insert_faces, perturbed, synthetic_descriptors
from benchmarks.harness import Figure, Report, interleave, medians, time_ms
from benchmarks.match import BASE64, NUMBERS, match_request
from benchmarks.services import FACE128, Request, Service, started
from face128.domain.decision_rule import THRESHOLD, Rule, Tail
from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery

ROUNDS = {1_000: 60, 10_000: 30}  # by members
MIN_CACHED_RATIO = 1 / 1.3
MAX_NEW_LIST_MS = {10_000: 2_000.0}  # by members; on two cores
NEW_LISTS = 3
GALLERY_FACES, PROBES = 100_000, 60
MIN_GALLERY_RATIO = 1 / 1.5


def with_cohort_rule(request: Request, tail: Tail = "exact") -> Request:
    document = json.loads(request.body or b"") | {"decision": {"rule": "cohort", "tail": tail}}
    return replace(request, body=json.dumps(document).encode())


def measure() -> Report:
    report = Report()
    with started(FACE128) as services:
        service = services[FACE128]
        for members, rounds in ROUNDS.items():
            for form in (NUMBERS, BASE64):
                report.figures += _compare_cached(service, members, form, rounds)
            lists = [with_cohort_rule(match_request(members, BASE64, seed=1 + i)) for i in range(NEW_LISTS)]
            new_list_ms = median(time_ms(partial(service.send, each)) for each in lists)
            what = f"/match by the cohort rule, the first probe against {members:,} members"
            report.figures.append(Figure(what, new_list_ms, "ms", at_most=MAX_NEW_LIST_MS.get(members)))
    report.figures += _compare_in_gallery()
    return report


def _compare_cached(service: Service, members: int, form: str, rounds: int) -> list[Figure]:
    threshold = match_request(members, form)
    contestants = {"threshold": partial(service.send, threshold)}
    names: dict[Tail, str] = {"exact": "the cohort rule", "estimate": "the cohort rule's estimate"}
    contestants |= {name: partial(service.send, with_cohort_rule(threshold, tail)) for tail, name in names.items()}
    interleave(contestants, 3)
    typical = medians(interleave(contestants, rounds))
    return [
        Figure(
            f"/match by {name}, {members:,} known members {form}",
            typical[name],
            "ms",
            "the threshold rule",
            typical["threshold"],
            at_least=MIN_CACHED_RATIO,
        )
        for name in names.values()
    ]


def _compare_in_gallery() -> list[Figure]:
    """Searches of 100,000 synthetic faces; both rules must find the same face at the same distance."""
    random, faces = np.random.default_rng(128), fixture_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite")
        for start in range(0, GALLERY_FACES, INSERT_BATCH_FACES):
            insert_faces(gallery, synthetic_descriptors(faces, start, start + INSERT_BATCH_FACES, random), start)
        gallery.load()
        build_s = time_ms(partial(gallery.build_cohorts, 600)) / 1e3
        times: dict[str, list[float]] = {"threshold": [], "cohort": []}
        for probe in perturbed(faces, random.integers(len(faces), size=PROBES), random):
            rules, asked = (THRESHOLD, Rule("cohort")), Probe.of(DLIB, probe)
            contestants = {rule.name: partial(gallery.match, asked, rule=rule) for rule in rules}
            if contestants["threshold"]().nearest != contestants["cohort"]().nearest:
                raise AssertionError("the two rules disagree on who is nearest")
            for name, runs in interleave(contestants, 1).items():
                times[name] += runs
        gallery.close()
    typical, what = medians(times), f"the gallery by the cohort rule, {GALLERY_FACES:,} faces"
    return [
        Figure(what, typical["cohort"], "ms", "the threshold rule", typical["threshold"], at_least=MIN_GALLERY_RATIO),
        Figure(f"{what}, compared once", build_s, "s"),
    ]
