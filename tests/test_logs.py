"""The log of a running service: its two formats, its levels, and the id of the request in every line about one."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import threading
from datetime import datetime

import httpx
import poisoned
import pytest
from serving import started

from face128.logs import WorkerError, _JsonFormatter, _LineFormatter, _log_thread_error, plain_traceback

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) \[([^\]]+)\] (.+)")


def log_of(workers: int = 1, **settings: str) -> list[str]:
    """What a service writes on stderr that has answered some requests and ended."""
    with tempfile.TemporaryFile() as file:
        with started(workers=workers, stderr=file, **poisoned.settings(**settings)) as (process, port):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                ask = {"X-Request-ID": "the-health"}
                client.get("/health", headers=ask)
                client.get("/records", headers={"X-Request-ID": "the-list"})
                failing = {"image": poisoned.photo(poisoned.FAILS)}
                answer = client.post("/encode-image", files=failing, headers={"X-Request-ID": "the-bug"})
                assert answer.status_code == 500
            process.terminate()
            process.wait(30)
        file.seek(0)
        return file.read().decode().splitlines()


@pytest.fixture(scope="module")
def objects() -> list[dict[str, object]]:
    return [json.loads(line) for line in log_of(FACE128_LOG_FORMAT="json", FACE128_LOG_LEVEL="debug")]


def about(objects: list[dict[str, object]], request: str) -> list[dict[str, object]]:
    return [entry for entry in objects if entry["request_id"] == request]


def test_json_is_an_object_a_line_uvicorns_messages_included(objects: list[dict[str, object]]) -> None:
    for entry in objects:
        assert {"time", "level", "logger", "process", "request_id", "message"} <= entry.keys()
        assert datetime.fromisoformat(str(entry["time"])).utcoffset() is not None
    assert any(
        entry["logger"] == "uvicorn.error" and "Application startup" in str(entry["message"]) for entry in objects
    )


def test_the_start_names_the_addresses_to_open(objects: list[dict[str, object]]) -> None:
    (line,) = [str(entry["message"]) for entry in objects if "Open http" in str(entry["message"])]
    assert re.fullmatch(r"face128 starts\. Open (http://127\.0\.0\.1:\d+/) or, to try its endpoints, \1docs", line)


def test_one_line_a_request_with_its_fields(objects: list[dict[str, object]]) -> None:
    (line,) = about(objects, "the-list")
    assert (line["method"], line["route"], line["status"], line["level"]) == ("GET", "/records", 200, "info")
    assert isinstance(line["milliseconds"], float)
    assert line["message"] == f"GET /records 200 {line['milliseconds']} ms"
    (probe,) = about(objects, "the-health")
    assert probe["level"] == "debug"


def test_what_a_worker_process_says_has_the_requests_id(objects: list[dict[str, object]]) -> None:
    warning, bug, line = about(objects, "the-bug")
    assert warning["process"] != bug["process"] == line["process"]
    assert (warning["logger"], warning["level"]) == ("py.warnings", "warning")
    assert "this photo is strange" in str(warning["message"])
    assert bug["level"] == "error"
    trace = str(bug["traceback"])
    assert 'raise KeyError("-".join(["marked", "in-a-worker"]))' in trace  # the code, from the worker's side
    assert trace.rstrip().endswith("KeyError")
    assert (line["status"], line["level"]) == (500, "warning")


def test_lines_have_time_level_and_id() -> None:
    lines = log_of(workers=2)
    parsed = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert ("INFO", "the-list") in [entry[:2] for entry in parsed]
    assert not [entry for entry in parsed if entry[1] == "the-health"]  # successful probes: at debug only
    assert sum("Application startup complete" in entry[2] for entry in parsed) == 2
    assert sum("Open http" in entry[2] for entry in parsed) == 1
    assert [entry[0] for entry in parsed if entry[1] == "the-bug"] == ["WARNING", "ERROR", "WARNING"]
    for line in lines:
        assert LINE.fullmatch(line) or line.startswith(("  ", "Traceback", "KeyError", "face128.logs.WorkerError")), (
            line
        )


def record(message: str, error: BaseException | None = None, name: str = "face128") -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), exc_info)


def failing() -> BaseException:
    """An error after an error, within a group."""
    errors: list[Exception] = []
    try:
        try:
            {}["Vicky"]
        except KeyError as error:
            raise ValueError("Vicky is no number") from error
    except ValueError as error:
        errors.append(error)
    try:
        open("/nowhere/Vicky")  # noqa: SIM115
    except OSError as error:
        errors.append(error)
    return ExceptionGroup("of Vicky", errors)


@pytest.mark.parametrize("formatter", [_LineFormatter(), _JsonFormatter()])
def test_a_traceback_is_code_and_classes_without_messages(formatter: logging.Formatter) -> None:
    entry = formatter.format(record("internal", failing()))
    entry = json.loads(entry)["traceback"] if isinstance(formatter, _JsonFormatter) else entry
    code = [line for line in entry.splitlines() if not line.startswith("    ")]
    assert not [line for line in code if "Vicky" in line]
    for expected in ("KeyError", "ValueError", "ExceptionGroup", "FileNotFoundError: No such file or directory"):
        assert expected in code
    assert entry.count("Traceback") == 4
    assert 'raise ValueError("Vicky is no number") from error' in entry


def test_the_message_of_a_worker_s_error_is_its_traceback_there() -> None:
    assert plain_traceback(WorkerError("in a worker process:\n...")).endswith("WorkerError: in a worker process:\n...")


def test_asyncio_s_list_of_what_a_lost_task_raised_is_left_out() -> None:
    message = "Task exception was never retrieved\nfuture: <Task exception=KeyError('Vicky')>"
    assert _LineFormatter().format(record(message, name="asyncio")).endswith("Task exception was never retrieved")


def test_a_thread_that_ends_by_an_error_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", _log_thread_error)
    thread = threading.Thread(target=lambda: {}["Vicky"])
    thread.start()
    thread.join()
    assert [entry.message for entry in caplog.records] == ["a thread ended with an error"]
