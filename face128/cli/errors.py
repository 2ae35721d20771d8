"""How the command line reports errors: one sentence on stderr, and exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from face128.errors import Face128Error


@contextmanager
def exit_on_error(*others: type[Exception]) -> Iterator[None]:
    """Turn a Face128Error, or an error of ``others``, into one sentence on stderr and exit status 2."""
    reported: tuple[type[Exception], ...] = (Face128Error, *others)
    try:
        yield
    except reported as error:
        print_error(describe(error))
        sys.exit(2)


def describe(error: Exception) -> str:
    """The error's sentence and, for a Face128Error, its code and the member and field that it is about."""
    if not isinstance(error, Face128Error):
        return str(error)
    details = "".join(f", {name} {error.context[name]}" for name in ("regNo", "field") if name in error.context)
    return f"{error} ({error.code}{details})"


def print_error(sentence: str) -> None:
    print(f"face128: {sentence}", file=sys.stderr, flush=True)
