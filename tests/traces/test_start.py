"""FACE128_TRACES with OpenTelemetry's packages and without them, and its variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from otlp_receiver import receiving
from serving import environment, free_port, photo, started

from face128.errors import ConfigurationError
from face128.traces.start import check_traces

# The packages of the extra cannot be imported; every import of OpenTelemetry is written down, with its process.
WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            with open(os.environ["WATCHED"], "a") as file:
                file.write(f"{os.getpid()} {name}\\n")
            if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")):
                raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Watch())
"""


@pytest.fixture
def without_packages(tmp_path: Path) -> dict[str, str]:
    """Variables of a process that has not got them."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    return {"PYTHONPATH": str(tmp_path), "WATCHED": str(tmp_path / "imports")}


def watched(variables: dict[str, str]) -> set[tuple[int, str]]:
    """Each import, with its process."""
    file = Path(variables["WATCHED"])
    lines = file.read_text().splitlines() if file.exists() else []
    return {(int(line.split()[0]), line.split()[1]) for line in lines}


def serve(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "face128", "serve", *options]
    settings = {"FACE128_TRACES": "1", "FACE128_ENGINES": "fake", **settings}
    return subprocess.run(command, env=environment(**settings), capture_output=True, text=True, timeout=60)


def test_nothing_is_imported_unless_it_is_asked_for(without_packages: dict[str, str]) -> None:
    script = "import fastapi, fastapi.telemetry._runtime, fastapi.testclient"
    fastapi = subprocess.run([sys.executable, "-c", script], env=environment(**without_packages), timeout=60)
    assert fastapi.returncode == 0
    its_own = {name for _, name in watched(without_packages)}
    Path(without_packages["WATCHED"]).unlink(missing_ok=True)
    with receiving() as receiver:
        settings = receiver.settings | {"FACE128_TRACES": "0"}
        with started(**settings, **without_packages) as (process, port):
            base = f"http://127.0.0.1:{port}"
            assert httpx.post(f"{base}/encode-image", files={"image": photo("obama-2009.jpg")}, timeout=60).is_success
            assert httpx.get(f"{base}/people", timeout=60).is_success
            imported = watched(without_packages)
            assert {name for _, name in imported} <= its_own
            assert {number for number, _ in imported} <= {process.pid}  # no process that works on photos
        assert receiver.bodies == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_packages_are_missing(without_packages: dict[str, str], workers: str) -> None:
    run = serve("--workers", workers, **without_packages)
    assert run.returncode == 2
    assert "FACE128_TRACES needs packages that are not installed" in run.stderr
    assert "pip install 'face128[traces]'" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_opentelemetry_refuses_a_variable(workers: str) -> None:
    run = serve("--workers", workers, OTEL_BSP_MAX_QUEUE_SIZE="10", OTEL_EXPORTER_OTLP_HEADERS="key=secret")
    assert run.returncode == 2
    assert "OTEL_BSP_MAX_QUEUE_SIZE, OTEL_EXPORTER_OTLP_HEADERS" in run.stderr
    assert "secret" not in run.stderr
    assert "Traceback" not in run.stderr


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example"}, "https://otel.example/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:4318/"}, "http://[::1]:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://u:secret@h:1/own?k=secret"}, "https://h:1/own"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "otlp"}, None),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, None),
    ],
)
def test_where_traces_go(variables: pytest.MonkeyPatch, given: dict[str, str], url: str | None) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    for name, value in given.items():
        variables.setenv(name, value)
    assert check_traces() == (url or "http://localhost:4318/v1/traces")
    if "secret" not in str(given):
        assert OTLPSpanExporter()._endpoint.replace("//v1", "/v1") == check_traces()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host:port/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1/v1/traces"),
    ],
)
def test_what_would_fail_later_is_refused_at_the_start(variables: pytest.MonkeyPatch, name: str, value: str) -> None:
    variables.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as refused:
        check_traces()
    assert value == "http://" or value not in str(refused.value)


def test_the_doctor_asks_the_collector(variables: pytest.MonkeyPatch) -> None:
    from face128.traces.sending import reaches_collector

    with receiving() as receiver:
        variables.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.settings["OTEL_EXPORTER_OTLP_ENDPOINT"])
        assert reaches_collector()
        assert len(receiver.bodies) == 1
    url = f"http://127.0.0.1:{free_port()}"
    settings = environment(FACE128_TRACES="1", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    command = [sys.executable, "-m", "face128", "doctor"]
    run = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)
    assert f"!!  traces       nothing takes traces at {url}/v1/traces: docs/traces.md" in run.stdout
    assert (run.returncode, run.stderr) == (1, "")
