"""The spans that a collector receives: one trace a request, over all processes, without what was sent."""

from __future__ import annotations

import itertools
import json
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import httpx
import poisoned
import pytest
from otlp_receiver import ReceivedSpan, Receiver, receiving
from serving import photo, serving, started

from benchmarks.processes import process_tree

CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PHOTO_STAGES = {"decode", "detect", "crop", "describe"}


class Traced(NamedTuple):
    process: subprocess.Popen[bytes]
    client: httpx.Client
    receiver: Receiver
    log: IO[bytes]

    def trace(self, method: str, path: str, **options: object) -> tuple[httpx.Response, list[ReceivedSpan]]:
        """The answer to a request, and the spans of its trace: its own first."""
        identifier = f"request-{next(_numbers)}"
        headers = {"X-Request-ID": identifier, **options.pop("headers", {})}  # type: ignore[dict-item]
        answer = self.client.request(method, path, headers=headers, **options)  # type: ignore[arg-type]
        return answer, self.receiver.trace_of(identifier)

    def log_lines(self) -> list[dict[str, object]]:
        self.log.seek(0)
        return [json.loads(line) for line in self.log.read().splitlines()]


_numbers = itertools.count()


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    with receiving() as receiver, tempfile.TemporaryFile() as log:
        settings = receiver.settings | {"FACE128_LOG_FORMAT": "json", "FACE128_THREADS": "2"}
        with (
            started(stderr=log, **settings) as (process, port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            yield Traced(process, client, receiver, log)


def parent_of(span: ReceivedSpan, trace: list[ReceivedSpan]) -> ReceivedSpan:
    (parent,) = [each for each in trace if each.span_id == span.parent_id]
    return parent


def below(parent: ReceivedSpan, trace: list[ReceivedSpan]) -> list[str]:
    return [span.name for span in trace if span.parent_id == parent.span_id]


def test_a_photo_makes_one_trace_over_the_processes_inside_the_caller_s(traced: Traced) -> None:
    headers = {"traceparent": f"00-{CALLER[0]}-{CALLER[1]}-01"}
    answer, trace = traced.trace("POST", "/encode-image", files={"image": photo("obama-2009.jpg")}, headers=headers)
    assert answer.status_code == 200
    request, images, *stages = trace
    assert (request.trace_id, request.parent_id) == CALLER
    assert (request.name, request.kind) == ("POST /encode-image", "SERVER")
    assert (images.name, images.parent_id) == ("images", request.span_id)
    assert images.attributes["face128.queue_seconds"] >= 0
    assert {span.name for span in stages} == PHOTO_STAGES
    for span in [images, *stages]:
        parent = parent_of(span, trace)
        assert parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns
        assert not span.failed
    # The face may be described during the search, by a thread beside it. What else runs during a stage is inside it.
    for names in ({"decode", "detect"}, {"crop", "describe"}):
        in_order = [span for span in stages if span.parent_id == images.span_id and span.name in names]
        for one, next_one in itertools.pairwise(in_order):
            assert one.end_ns <= next_one.start_ns
    assert set(below(images, trace)) == PHOTO_STAGES
    assert {parent_of(span, trace).name for span in stages} <= {"images", "detect"}
    (worker,) = {span.attributes["process.pid"] for span in stages}
    assert worker in process_tree(traced.process.pid)[2:]  # after the service and the fork server


def test_the_times_are_those_of_the_metrics(traced: Traced) -> None:
    def count() -> dict[str, float]:
        pattern = r'^face128_stage_duration_seconds_(count|sum)\{stage="(\w+)"\} (.+)$'
        found = re.findall(pattern, traced.client.get("/metrics").text, re.MULTILINE)
        return {f"{what} {stage}": float(value) for what, stage, value in found}

    before = count()
    _, trace = traced.trace("POST", "/encode-image", files={"image": photo("obama-2009.jpg")})
    after = count()
    for name in PHOTO_STAGES:
        assert after[f"count {name}"] - before.get(f"count {name}", 0) == 1
        spent_ns = 0
        for span in (each for each in trace if each.name == name):
            nested = [each for each in trace if each.parent_id == span.span_id]
            spent_ns += span.end_ns - span.start_ns - sum(each.end_ns - each.start_ns for each in nested)
        # The machine may stop the process between the two clocks.
        assert spent_ns / 1e9 == pytest.approx(after[f"sum {name}"] - before.get(f"sum {name}", 0), abs=0.5)


def test_each_photo_of_a_batch_has_a_span(traced: Traced) -> None:
    import base64

    images = [base64.b64encode(photo(name)).decode() for name in ("obama-2009.jpg", "biden-2010.jpg")]
    answer, trace = traced.trace("POST", "/batch-extract", json={"images": [*images, "bm90IGEgcGhvdG8="]})
    assert [bool(each.get("success", "error" not in each)) for each in answer.json()["results"]].count(True) == 2
    assert below(trace[0], trace).count("images") >= 2
    assert {span.trace_id for span in trace} == {trace[0].trace_id}


@pytest.fixture(scope="module")
def descriptor(traced: Traced) -> list[float]:
    answer = traced.client.post("/encode-image", files={"image": photo("obama-2009.jpg")})
    return list(answer.json()["descriptor"])


@pytest.mark.parametrize("members", [1, 2000], ids=["small", "large"])
def test_a_match_shows_its_stages(traced: Traced, descriptor: list[float], members: int) -> None:
    enrolled = [{"regNo": number, "name": "A", "descriptor": descriptor} for number in range(members)]
    for _ in range(2):  # a large list is known the second time
        answer, trace = traced.trace("POST", "/match", json={"descriptor": descriptor, "enrolled": enrolled})
        assert answer.json()["regNo"] == 0
        assert [(span.name, span.parent_id) for span in trace[1:]] == [
            ("parse", trace[0].span_id),
            ("search", trace[0].span_id),
        ]


def test_the_gallery_shows_its_threads_its_search_and_its_database(traced: Traced, descriptor: list[float]) -> None:
    image = {"files": (None, photo("obama-2009.jpg"))}
    enrolled, trace = traced.trace("POST", "/enroll_faces/somebody", files=image, data={"name": "Somebody"})
    assert enrolled.json()["faces_stored"] == 1
    (change,) = [span for span in trace if span.name == "gallery_changes"]
    (transaction,) = [span for span in trace if span.name == "transaction"]
    assert change.parent_id == trace[0].span_id
    assert transaction.start_ns >= change.start_ns
    inserts = [span for span in trace if span.name == "INSERT"]
    assert transaction.span_id in {span.parent_id for span in inserts}

    answer, trace = traced.trace("POST", "/match", json={"descriptor": descriptor})
    assert answer.json()["name"] == "Somebody"
    (search,) = [span for span in trace if span.name == "search"]
    assert parent_of(search, trace).name == "gallery"
    assert parent_of(parent_of(search, trace), trace) is trace[0]
    selects = [span for span in trace if span.name == "SELECT"]
    assert search.span_id in {span.parent_id for span in selects}
    assert {span.kind for span in selects} == {"CLIENT"}
    assert all(span.attributes == {"db.system.name": "sqlite", "db.operation.name": span.name} for span in selects)


MATCH = {"descriptor": [0] * 128, "enrolled": []}


def test_a_request_has_its_route_status_and_error_code(traced: Traced) -> None:
    expected = {
        ("DELETE", "/records/a-number-of-somebody"): ("DELETE /records/{record_id}", 404, "not_found"),
        ("GET", "/nowhere/somebody?name=somebody"): ("GET", 404, "not_found"),
        ("BREW", "/match"): ("HTTP /match", 405, "method_not_allowed"),
        ("POST", "/match"): ("POST /match", 400, "bad_request"),
    }
    for (method, path), (name, status, code) in expected.items():
        answer, (span, *_) = traced.trace(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (span.name, span.failed) == (name, False)
        route = {"http.route": name.split()[1]} if " " in name else {}
        assert span.attributes == {
            "http.request.method": "_OTHER" if method == "BREW" else method,
            "url.scheme": "http",
            "http.response.status_code": status,
            "face128.error_code": code,
            "face128.request_id": answer.headers["X-Request-ID"],
            **route,
        }


def test_a_client_that_leaves_is_told_apart(traced: Traced) -> None:
    with socket.create_connection((traced.client.base_url.host, traced.client.base_url.port)) as connection:
        connection.sendall(b"POST /match HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{")
    (span,) = traced.receiver.wait_for(
        lambda spans: [span for span in spans if span.attributes.get("http.response.status_code") == 499]
    )
    assert (span.name, span.failed) == ("POST /match", False)


def test_probes_make_no_trace(traced: Traced) -> None:
    for path in ("/health", "/ready", "/metrics", "/health/", "/metrics/"):
        assert traced.client.get(path, headers={"X-Request-ID": "a-probe"}).status_code == 200
    traced.trace("POST", "/match", json=MATCH)  # it ends after them
    assert not [span for span in traced.receiver.spans if span.attributes.get("face128.request_id") == "a-probe"]
    assert all(span.trace_id in {root.trace_id for root in roots(traced)} for span in traced.receiver.spans)


def roots(traced: Traced) -> list[ReceivedSpan]:
    return [span for span in traced.receiver.spans if span.kind == "SERVER"]


def test_what_the_caller_does_not_sample_is_not_sent(traced: Traced) -> None:
    trace_id = "ab" * 16
    headers = {"traceparent": f"00-{trace_id}-{CALLER[1]}-00"}
    assert traced.client.post("/match", json=MATCH, headers=headers).status_code == 200
    image = {"image": photo("obama-2009.jpg")}
    assert traced.client.post("/encode-image", files=image, headers=headers).status_code == 200
    traced.trace("POST", "/match", json=MATCH)
    assert not [span for span in traced.receiver.spans if span.trace_id == trace_id]


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{CALLER[1]}-01", "00-" + "g" * 400])
def test_a_header_that_names_no_span_is_passed_over(traced: Traced, header: str) -> None:
    answer, (span, *_) = traced.trace("POST", "/match", json=MATCH, headers={"traceparent": header})
    assert answer.status_code == 200
    assert span.parent_id == ""
    assert int(span.trace_id, 16) > 0


def test_a_log_line_has_the_trace_s_id(traced: Traced) -> None:
    answer, (span, *_) = traced.trace("POST", "/match", json=MATCH)
    lines = traced.log_lines()
    (line,) = [each for each in lines if each["request_id"] == answer.headers["X-Request-ID"]]
    assert line["trace_id"] == span.trace_id
    assert not any("trace_id" in each for each in lines if each["request_id"] == "-")


def test_the_processes_name_the_service_and_themselves(traced: Traced) -> None:
    _, (span, *_) = traced.trace("POST", "/match", json=MATCH)
    resource = span.resource
    assert resource["service.name"] == "face128"
    assert resource["service.version"] == traced.client.get("/openapi.json").json()["info"]["version"]
    assert len(resource["service.instance.id"]) == 36
    assert not [name for name in resource if not name.startswith(("service.", "telemetry.sdk."))]


def test_a_photo_that_ends_its_process_says_so_and_the_others_are_whole() -> None:
    with receiving() as receiver, tempfile.TemporaryFile() as log:
        settings = poisoned.settings(FACE128_THREADS="1", **receiver.settings)
        with (
            started(stderr=log, **settings) as (_, port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            for width, status in ((poisoned.HARMLESS, 200), (poisoned.CRASHES, 400), (poisoned.HARMLESS, 200)):
                headers = {"X-Request-ID": f"photo-{width}-{status}-{next(_numbers)}"}
                files = {"image": poisoned.photo(width)}
                assert client.post("/encode-image", files=files, headers=headers).status_code == status
                request, images, *stages = receiver.trace_of(headers["X-Request-ID"])
                assert images.parent_id == request.span_id
                if status == 200:
                    assert {span.name for span in stages} == PHOTO_STAGES
                    assert images.events == {}
                else:
                    assert stages == []  # they died with the process
                    assert images.events == {"worker_ended": {"reason": "Segmentation fault"}}
                    assert images.attributes["error.type"] == "bad_image"
                    assert request.attributes["face128.error_code"] == "bad_image"
        log.seek(0)
        (line,) = [line for line in log.read().decode().splitlines() if "a worker died" in line]
        assert re.search(r"\[photo-\S+ [0-9a-f]{32}\]", line)


def test_photos_in_threads_are_traced_as_well() -> None:
    with (
        receiving() as receiver,
        serving(FACE128_ENGINES="fake", FACE128_ISOLATION="thread", **receiver.settings) as it,
    ):
        it.post("/encode-image", files={"image": poisoned.photo(23)}, headers={"X-Request-ID": "in-a-thread"})
        request, images, *stages = receiver.trace_of("in-a-thread")
        assert images.parent_id == request.span_id
        assert {span.name for span in stages} == PHOTO_STAGES
        assert {span.parent_id for span in stages if span.name != "decode"} == {images.span_id}
