"""POST /match by the cohort rule on a list that is known, beside the threshold rule; and what a new list costs."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from statistics import median

from benchmarks.harness import Figure, Report, interleave, medians, milliseconds
from benchmarks.match import BASE64, NUMBERS, body
from benchmarks.services import FACE128, Request, Service, started

ROUNDS = {1_000: 60, 10_000: 30}  # by members
NO_SLOWER = 1 / 1.3  # the goal of a cached list, beside the threshold rule
NEW_LIST = {10_000: 2_000.0}  # milliseconds, on two cores
NEW_LISTS = 3


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
    return report


def _known(service: Service, members: int, form: str, rounds: int) -> Figure:
    threshold = body(members, form)
    cohort = by_cohort(threshold)
    turns = {"threshold": partial(service.send, threshold), "cohort": partial(service.send, cohort)}
    interleave(turns, 3)
    typical = medians(interleave(turns, rounds))
    what = f"/match by the cohort rule, {members:,} known members {form}"
    return Figure(what, typical["cohort"], "ms", "the threshold rule", typical["threshold"], at_least=NO_SLOWER)
