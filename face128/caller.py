"""Who asks: the name of the API key of a request, or the account that runs a command. The trail keeps it."""

from __future__ import annotations

import os
import pwd
from contextvars import ContextVar

MAX_CALLER_CHARACTERS = 80  # the column's length

caller: ContextVar[str] = ContextVar("caller", default="")
"""Empty for a request to a service without keys."""

PURGE = "service:purge"
"""The service itself, which erases whose time is over. No key has such a name: names have no colon."""


def command_line() -> str:
    """Who runs a command: ``cli:`` and the account of the operating system."""
    number = os.getuid()
    try:
        account = pwd.getpwuid(number).pw_name
    except KeyError:  # a container may have no account of this number
        account = str(number)
    return f"cli:{ascii(account)[1:-1]}"[:MAX_CALLER_CHARACTERS]
