"""Questions to the person at the terminal. They are asked on stderr, so that stdout holds only what was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from face128.errors import BadRequest
from face128.terminal.speech import ERR

T = TypeVar("T")


def can_ask() -> bool:
    """Whether somebody reads the questions and can answer them."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, check: Callable[[str], T], default: str = "") -> T:
    """The checked answer. ``check`` raises BadRequest or ValueError with a sentence for a wrong one: it is asked again.

    An empty answer is the default. The end of the input (Ctrl-D) is a BadRequest.
    """
    while True:
        answer = _read(f"{question} [{default}]" if default else question) or default
        try:
            return check(answer)
        except (BadRequest, ValueError) as error:
            ERR.say(error, style="bad", indent=2)


def confirm(question: str, *, yes: bool, option: str = "--yes") -> bool:
    """Whether a person agrees; ``yes`` is the command's option that agrees beforehand.

    Raises BadRequest where nobody can be asked.
    """
    if yes:
        return True
    if not can_ask():
        raise BadRequest(f"{question} There is no terminal to answer: add {option} if it is right.")
    return ask(f"{question} [y/N]", _yes_or_no)


def _yes_or_no(answer: str) -> bool:
    word = answer.strip().lower()
    if word in ("y", "yes"):
        return True
    if word in ("", "n", "no"):
        return False
    raise ValueError("Answer y for yes or n for no.")


def _read(question: str) -> str:
    ERR.say(question, style="heading")
    sys.stderr.write("> ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise BadRequest("The input ended before the question was answered.")
    return line.strip()
