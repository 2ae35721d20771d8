"""The cohort rule beside the threshold rule: /match on a list that is known, and the gallery; and what is new there."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np

from benchmarks.gallery import BATCH, around, fill, real, synthetic
from benchmarks.harness import Figure, Report, interleave, medians, milliseconds
from benchmarks.match import BASE64, NUMBERS, body
from benchmarks.services import FACE128, Request, Service, started
from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import DLIB
from face128.gallery.gallery import Gallery

ROUNDS = {1_000: 60, 10_000: 30}  # by members
NO_SLOWER = 1 / 1.3  # the goal of a cached list, beside the threshold rule
NEW_LIST = {10_000: 2_000.0}  # milliseconds, on two cores
NEW_LISTS = 3
GALLERY, PROBES = 100_000, 60
GALLERY_NO_SLOWER = 1 / 1.5


def by_cohort(request: Request) -> Request:
    asked = json.loads(request.body or b"") | {"decision": {"rule": "cohort"}}
    return replace(request, body=json.dumps(asked).encode())


def measure() -> Report:
    report = Report()
    with started(FACE128) as services:
        service = services[FACE128]
        for members, rounds in ROUNDS.items():
            for form in (NUMBERS, BASE64):
                report.figures.append(_known(service, members, form, rounds))
            lists = [by_cohort(body(members, BASE64, seed=1 + i)) for i in range(NEW_LISTS)]
            new = median(milliseconds(partial(service.send, each)) for each in lists)
            what = f"/match by the cohort rule, the first probe against {members:,} members"
            report.figures.append(Figure(what, new, "ms", at_most=NEW_LIST.get(members)))
    report.figures += _gallery()
    return report


def _known(service: Service, members: int, form: str, rounds: int) -> Figure:
    threshold = body(members, form)
    cohort = by_cohort(threshold)
    turns = {"threshold": partial(service.send, threshold), "cohort": partial(service.send, cohort)}
    interleave(turns, 3)
    typical = medians(interleave(turns, rounds))
    what = f"/match by the cohort rule, {members:,} known members {form}"
    return Figure(what, typical["cohort"], "ms", "the threshold rule", typical["threshold"], at_least=NO_SLOWER)


def _gallery() -> list[Figure]:
    """Whose face it is, of 100,000 synthetic ones; both rules find the same face at the same distance."""
    random, faces = np.random.default_rng(128), real()
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite")
        for start in range(0, GALLERY, BATCH):
            fill(gallery, synthetic(faces, start, start + BATCH, random), start)
        gallery.load()
        first = milliseconds(partial(gallery.build_cohorts, 600)) / 1e3
        times: dict[str, list[float]] = {"threshold": [], "cohort": []}
        for probe in around(faces, random.integers(len(faces), size=PROBES), random):
            turns = {rule.name: partial(gallery.match, probe, DLIB, rule=rule) for rule in (THRESHOLD, Rule("cohort"))}
            if turns["threshold"]().nearest != turns["cohort"]().nearest:
                raise AssertionError("the two rules disagree on who is nearest")
            for name, runs in interleave(turns, 1).items():
                times[name] += runs
        gallery.close()
    typical, what = medians(times), f"the gallery by the cohort rule, {GALLERY:,} faces"
    return [
        Figure(what, typical["cohort"], "ms", "the threshold rule", typical["threshold"], at_least=GALLERY_NO_SLOWER),
        Figure(f"{what}, compared once", first, "s"),
    ]
