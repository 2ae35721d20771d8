"""What the service writes on stderr: lines, or an object of JSON a line, each with the id of the request it is about.

No key, photo, descriptor or name may stand there, at any level. So

- the loggers of other packages speak from warning on: below it Pillow tells the tags of photos, and others what they
  were given;
- a traceback has the code and the classes of the errors, not their messages: those quote values (KeyError: 'Vicky').
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["lines", "json"]

OURS = ("face128", "uvicorn")
"""Loggers that obey the level of the settings; all others are heard from warning on."""

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request that is worked on here."""


class WorkerError(RuntimeError):
    """A bug in another process. The message is what ``plain_traceback`` made of it there, and is logged."""


def set_up_logging(level: str, form: Format) -> None:
    """Log to stderr from now on. Called once in each process of the service."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(threshold, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(threshold)
    logging.getLogger("uvicorn.access").disabled = True  # api/tracing.py writes one line a request
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended


def plain_traceback(error: BaseException) -> str:
    """The traceback of an error and of those before it, without their messages."""
    return "\n".join(_told(error))


def _told(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _told(before)
        yield "which led to"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, WorkerError):
        yield f"{kind}: {error}"
    elif isinstance(error, OSError):
        yield f"{kind}: {error.strerror}"  # the system's words; the file's name is left out
    else:
        yield kind
    for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _told(one)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} [{request_id.get()}] {_message(record)}"
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "request_id": request_id.get(),
            "message": _message(record),
            **getattr(record, "fields", {}),
        }
        if trace := _trace(record):
            told["traceback"] = trace
        return json.dumps(told)


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage().rstrip()
    # asyncio adds a task that nobody awaited, with the message of its error, in lines of their own.
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _trace(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if record.exc_info else None
    return None if error is None else plain_traceback(error)


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    """Python's own hook writes the error's message."""
    error: BaseException | None = args.exc_value
    if error is not None and not isinstance(error, SystemExit):
        logging.getLogger("face128").error("a thread has ended by an error", exc_info=error)
