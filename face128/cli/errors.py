"""How a command ends: an error is one paragraph on stderr, and output that could not be written is an error.

The exit status is 2 for an error, 130 after Ctrl-C, and 141 if whoever reads the output has closed the pipe. What 0 and
1 mean, the command says.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from face128.errors import Face128Error
from face128.terminal.speech import ERR

ERROR_STATUS = 2
INTERRUPTED_STATUS = 130  # as a shell reports SIGINT
CLOSED_PIPE_STATUS = 141  # as a shell reports SIGPIPE
DATABASE_PACKAGES = ("sqlalchemy", "alembic")

CODES_WITHOUT_MEANING = frozenset({"bad_request", "invalid_request", "not_found"})
"""Their sentences say all."""

# Errors whose own sentence is for those who send a request.
_IN_COMMANDS = {
    "multiple_faces": (
        "{face_count} faces were found. Use a photo of one person, or add --faces largest or --faces best."
    ),
}


def run(app: typer.Typer) -> None:
    """Run the command that sys.argv names to its end, and exit."""
    _prepare_streams()
    log = _LogLines()
    logging.getLogger().addHandler(log)
    try:
        status = _run(app)
        sys.stdout.flush()
        log.print_errors()
    except BrokenPipeError:
        status = CLOSED_PIPE_STATUS
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED_STATUS
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        if sentence:
            print_error(" ".join([sentence, *log.errors[:1]]))
        status = ERROR_STATUS
    _finish_output()
    sys.exit(status)


def _run(app: typer.Typer) -> int:
    """The exit status. Typer raises wrong arguments, returns the status of ``typer.Exit``, and 130 after Ctrl-C."""
    try:
        status = app(prog_name="face128", standalone_mode=False)
    except SystemExit as exit_:
        if isinstance(exit_.__context__, BrokenPipeError):  # Typer has caught it
            raise exit_.__context__ from None
        status = exit_.code
    return status if isinstance(status, int) else 0 if status is None else ERROR_STATUS


@contextmanager
def about(place: Path | str, kind: type[Face128Error] = Face128Error) -> Iterator[None]:
    """Errors of this kind in this block are about this file, option or setting: their sentence begins with it."""
    try:
        yield
    except kind as error:
        error.context.setdefault("place", place)
        raise


def describe(error: Face128Error, place: Path | str = "") -> str:
    """The error's sentence in the words of the command line, with its code and the member and field that it is about.

    ``place``: the file or option that it is about; ``about`` says it beforehand.
    """
    sentence = _IN_COMMANDS.get(error.code, "").format(**{"face_count": "Several", **error.context}) or str(error)
    place = str(error.context.get("place", place))
    if place and place not in sentence:
        sentence = f"{place}: {sentence}"
    details = [] if error.code in CODES_WITHOUT_MEANING else [error.code]
    details += [f"{name} {error.context[name]}" for name in ("regNo", "field") if name in error.context]
    return f"{sentence} ({', '.join(details)})" if details else sentence


def print_error(sentence: str) -> None:
    one_line = " ".join(sentence.split())
    without_secrets = re.sub(r"//[^/\s]*@", "//***@", one_line)  # a database's URL has its password
    with suppress(OSError):  # there may be nobody to tell
        ERR.say(f"face128: {without_secrets}")


class _LogLines(logging.Handler):
    """Prints what is logged. Errors wait for the end: the first, such as a database's own message, is the reason in the
    sentence that a command fails with. ``face128 serve`` sets up the log itself.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            print_error(record.getMessage())
        else:
            self.errors.append(record.getMessage())

    def print_errors(self) -> None:
        for message in self.errors:
            print_error(message)


def _sentence(error: Exception) -> str | None:
    """None for an error that nobody expected: its traceback is needed. Empty where everything is said already."""
    if isinstance(error, Face128Error):
        return describe(error)
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        print(error, file=sys.stderr)
        return ""
    if (message := getattr(error, "format_message", None)) and hasattr(error, "ctx"):  # Typer's, for wrong arguments
        command = error.ctx.command_path if error.ctx else "face128"
        text = message().rstrip(".").replace("Value error, ", "")
        return f"{text}. To see what it takes: {command} --help"
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        if error.filename is not None:
            return f"{error.filename} cannot be used: {reason}."
        failed = "A connection failed" if isinstance(error, ConnectionError | TimeoutError) else "The output failed"
        return f"{failed}: {reason}."
    if isinstance(error, UnicodeError):
        return f"A file or a name is not in UTF-8: {error}."
    if isinstance(error, MemoryError):
        return "There is not enough memory."
    if type(error).__module__.partition(".")[0] in DATABASE_PACKAGES:
        return f"The gallery's database failed: {getattr(error, 'orig', None) or error}."
    return None


def _prepare_streams() -> None:
    """Make all three usable: a shell may have closed one, and the locale may have another encoding than JSON."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (it stays open)
        elif mode == "w":
            # Backslashes: half a surrogate, from a file name or a database, is written as JSON escapes it.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _finish_output() -> None:
    """Write what is left, or drop it: the interpreter would complain about it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
