"""What a worker process records, and what the service believes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest

from face128 import spans
from face128.events import STAGES, stage
from face128.spans import MAX_RECORDED_SPANS, RecordedSpan, Tracer, recording, replay, set_tracer, tracer

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept(Tracer):
    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    def past(self, spans: Sequence[RecordedSpan], **attributes: str | int | float) -> None:
        self.spans += spans


@pytest.fixture
def kept() -> Iterator[list[RecordedSpan]]:
    keeper = Kept()
    set_tracer(keeper)
    yield keeper.spans
    set_tracer(Tracer())


def test_stages_are_recorded_inside_each_other() -> None:
    with recording(TRACEPARENT) as recorded:
        with suppress(ValueError), stage("detect"):
            with stage("decode"):
                pass
            raise ValueError
        with stage("crop"):
            pass
    assert [(name, around) for name, _, _, around in recorded] == [("detect", -1), ("decode", 0), ("crop", -1)]
    (_, begins, ends, _), (_, inner_begins, inner_ends, _), (_, after, _, _) = recorded
    assert begins <= inner_begins <= inner_ends <= ends <= after
    assert type(tracer()) is Tracer


def test_a_request_that_is_not_traced_records_nothing() -> None:
    with recording("") as recorded, stage("detect"):
        assert type(tracer()) is Tracer
    assert recorded == []


def test_a_thread_beside_the_job_s_own_has_its_spans_beside_them() -> None:
    def work() -> None:
        with stage("describe"):
            pass

    with recording(TRACEPARENT) as recorded, stage("detect"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with stage("decode"):
            pass
    assert [(name, around) for name, _, _, around in recorded] == [("detect", -1), ("describe", -1), ("decode", 0)]


def test_only_so_much_is_recorded() -> None:
    with recording(TRACEPARENT) as recorded:
        for _ in range(2 * MAX_RECORDED_SPANS):
            with stage("describe"):
                pass
    assert len(recorded) == MAX_RECORDED_SPANS - 1


def test_what_was_recorded_is_told(kept: list[RecordedSpan]) -> None:
    since = perf_counter()
    with recording(TRACEPARENT) as recorded, stage("detect"), stage("decode"):
        pass
    replay(recorded, STAGES, since)
    assert kept == recorded
    assert len(kept) == 2


NOW = 0.0  # replaced by the time of the test
DAMAGED: list[Any] = [
    None,
    "detect",
    [],
    (("detect", NOW, NOW, -1),),
    [("detect", NOW, NOW)],
    [("somebody's name", NOW, NOW, -1)],
    [("detect", NOW, NOW, 0)],
    [("detect", NOW, NOW, -2)],
    [("detect", NOW, NOW, -1), ("decode", NOW, NOW, 1)],
    [("detect", NOW, NOW, "0")],
    [("detect", NOW, NOW + 3600, -1)],
    [("detect", NOW - 3600, NOW, -1)],
    [("detect", NOW, NOW - 1e-3, -1)],
    [("detect", float("nan"), NOW, -1)],
    [("detect", NOW, float("inf"), -1)],
    [("detect", "0", NOW, -1)],
    [("detect", NOW, NOW, -1)] * (MAX_RECORDED_SPANS + 1),
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_what_a_compromised_worker_sends_is_ignored(kept: list[RecordedSpan], damaged: Any) -> None:
    now = perf_counter()

    def moved(each: Any) -> Any:
        return tuple(part + now if type(part) is float else part for part in each) if type(each) is tuple else each

    replay([moved(each) for each in damaged] if isinstance(damaged, list) else damaged, STAGES, now - 1)
    assert kept == []


def test_the_id_of_a_trace() -> None:
    assert spans.trace_id_of(TRACEPARENT) == "0af7651916cd43dd8448eb211c80319c"
    assert spans.trace_id_of("") == ""
