"""The log on stderr: lines of text or JSON, each with the id of its request, and of its trace if it has one.

No level logs a key, photo, descriptor or name. Therefore

- other packages log from level warning on: below it, Pillow logs the tags of photos, and others log their arguments;
- a traceback has the code and the classes of the errors, but no messages: those quote values (KeyError: 'Vicky').
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["lines", "json"]

NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)  # the id of the request in work
trace_id: ContextVar[str] = ContextVar("trace_id", default="")  # of its trace, if it has one


class WorkerError(RuntimeError):
    """An unexpected error in a worker process. The message is its ``plain_traceback``, and is logged."""


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """Log to stderr. Called once in each process of the service."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(threshold, logging.WARNING))
    for name in ("face128", "uvicorn"):  # all others log from warning on
        logging.getLogger(name).setLevel(threshold)
    logging.getLogger("uvicorn.access").disabled = True  # api/middleware/request_log.py writes one line a request
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error


def silence_native_output() -> None:
    """Throw away what libraries write past Python to stderr: libtiff's warnings, for example. A crash is still told.

    For processes that decode photos themselves; worker processes have a pipe for it (workers/native_output.py).
    """
    if sys.stderr is None:
        return
    sys.stderr.flush()
    log_fd = os.dup(sys.stderr.fileno())
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stderr.fileno())
    sys.stderr = open(log_fd, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    faulthandler.enable(sys.stderr)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)


def plain_traceback(error: BaseException) -> str:
    """The traceback of an error and of its causes, without messages."""
    return "\n".join(_traceback_lines(error))


def _traceback_lines(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _traceback_lines(cause)
        yield "which led to"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, WorkerError):
        yield f"{kind}: {error}"
    elif isinstance(error, OSError):
        yield f"{kind}: {error.strerror}"  # the message of the system, without the name of the file
    else:
        yield kind
    for member in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _traceback_lines(member)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        request = f"{request_id.get()} {trace_id.get()}".rstrip()
        line = f"{self.formatTime(record)} {record.levelname} [{request}] {_message(record)}"
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "request_id": request_id.get(),
            "message": _message(record),
            **getattr(record, "fields", {}),
        }
        if trace_id.get():
            fields["trace_id"] = trace_id.get()
        if trace := _trace(record):
            fields["traceback"] = trace
        return json.dumps(fields)


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage().rstrip()
    # After the first line asyncio describes the task, with the message of its error.
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _trace(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if record.exc_info else None
    return None if error is None else plain_traceback(error)


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    """Replaces Python's own hook, which prints the message of the error."""
    if isinstance(args.exc_value, BaseException) and not isinstance(args.exc_value, SystemExit):
        logging.getLogger("face128").error("a thread ended with an error", exc_info=args.exc_value)
