"""Sending is no burden: a collector that is away or hangs, the end of the service, several processes."""

from __future__ import annotations

import re
import signal
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from otlp_receiver import WAIT_S, Receiver, receiving
from serving import free_port, started

from benchmarks.processes import process_tree

MATCH = {"descriptor": [0] * 128, "enrolled": []}
REQUESTS = 300
FAKE = {"FACE128_ENGINES": "fake"}


def settings_for(receiver: Receiver, **more: str) -> dict[str, str]:
    return FAKE | receiver.settings | more


def match(port: int, times: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for number in range(times):
            assert client.post("/match", json=MATCH, headers={"X-Request-ID": f"match-{number}"}).status_code == 200


@pytest.mark.parametrize("fault", ["away", "hangs"])
def test_a_collector_that_fails_costs_spans_and_one_line(fault: str) -> None:
    with receiving() as receiver, tempfile.TemporaryFile() as log:
        # A small queue, and batches of ten: nearly all spans find it full.
        settings = settings_for(receiver, OTEL_BSP_MAX_QUEUE_SIZE="20", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10")
        if fault == "hangs":
            receiver.hangs.set()
            settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "600"
        else:
            url = f"http://u:secret@127.0.0.1:{free_port()}/v1/traces?key=secret"
            settings["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = url
        with started(stderr=log, **settings) as (process, port):
            match(port, REQUESTS)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0
        log.seek(0)
        lines = log.read().decode().splitlines()
        assert len([line for line in lines if "POST /match 200" in line]) == REQUESTS
        told = [line for line in lines if re.search(r"export|Queue full|urllib3|Traceback", line)]
        assert len(told) == 1, told
        assert not [line for line in lines if "secret" in line]
        assert receiver.spans == []


def test_what_is_left_is_sent_at_the_end() -> None:
    with receiving() as receiver:
        with started(**settings_for(receiver, OTEL_BSP_SCHEDULE_DELAY="600000")) as (process, port):
            match(port, 3)
            assert receiver.bodies == []
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0
        ids = {span.attributes.get("face128.request_id") for span in receiver.spans}
        assert ids == {"match-0", "match-1", "match-2", None}  # None: their stages


def test_each_process_sends_as_an_instance_of_its_own_and_none_for_photos_has_the_collector_s_key() -> None:
    key = "key-of-the-collector"
    with receiving() as receiver:
        settings = settings_for(receiver, OTEL_EXPORTER_OTLP_HEADERS=f"x-api-key={key}", OTEL_SERVICE_NAME="the-door")
        with started(workers=2, **settings) as (process, port):
            deadline = time.monotonic() + WAIT_S
            while time.monotonic() < deadline:
                match(port, 5)  # over a connection of its own, which either process takes
                instances = {span.resource["service.instance.id"] for span in receiver.spans}
                if len(instances) == 2:
                    break
            assert len(instances) == 2
            assert {span.resource["service.name"] for span in receiver.spans} == {"the-door"}
            assert {headers["X-Api-Key"] for headers in receiver.headers} == {key}
            services = [each for each in process_tree(process.pid) if key in Path(f"/proc/{each}/environ").read_text()]
            others = set(process_tree(process.pid)) - set(services)
            assert len(others) >= 4  # two fork servers and their workers
            assert not [each for each in others if "OTEL_" in Path(f"/proc/{each}/environ").read_text()]
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0
