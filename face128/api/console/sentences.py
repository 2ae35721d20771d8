"""The catalogue: every sentence of the console, in each language. One file a screen: sentences/en/people.toml.

A key is the file's name and the path in it: ``people.title``. A table with ``one`` and ``other`` is chosen by the value
``n``. Values are put into ``{name}``; numbers are written as the language writes them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "de")  # the first is the default
_POINT_AND_COMMA = {"en": str.maketrans(".,", ".,"), "de": str.maketrans(".,", ",.")}
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "de": ("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
}


class Sentences:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = _catalogue(language)

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def text(self, key: str, **values: Any) -> str:
        """Raises KeyError for a key that is not in the catalogue."""
        if key not in self._texts:
            key = f"{key}.{'one' if values['n'] == 1 else 'other'}"  # as English and German do
        written = {name: self.number(value) if _is_number(value) else value for name, value in values.items()}
        return self._texts[key].format_map(written)

    def number(self, value: float, digits: int = 2) -> str:
        """With a separator of thousands; of a number that is not whole, so many digits."""
        written = f"{value:,d}" if isinstance(value, int) else f"{value:,.{digits}f}"
        return written.translate(_POINT_AND_COMMA[self.language])

    def percent(self, share: float, digits: int = 1) -> str:
        return f"{self.number(100 * share, digits)} %"

    def time(self, when: datetime) -> str:
        """In UTC. A module of the page writes it in the browser's own zone."""
        utc = when.astimezone(UTC)
        day = f"{utc.day}." if self.language == "de" else str(utc.day)
        return f"{day} {_MONTHS[self.language][utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


def choose_language(*wishes: str | None, accept: str = "") -> str:
    """The first wish that is a language of the catalogue; else the best of an Accept-Language header."""
    for wish in wishes:
        if wish in LANGUAGES:
            return wish
    weighed = []
    for at, part in enumerate(accept.split(",")[:20]):
        name, _, weight = part.partition(";q=")
        language = name.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            try:
                weighed.append((-float(weight or 1), at, language))
            except ValueError:
                continue
    return min(weighed)[2] if weighed else LANGUAGES[0]


@cache
def _catalogue(language: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for entry in (files("face128.api.console") / "sentences" / language).iterdir():
        if entry.name.endswith(".toml"):
            _flatten(texts, entry.name.removesuffix(".toml"), tomllib.loads(entry.read_text("utf-8")))
    return texts


def _flatten(texts: dict[str, str], prefix: str, table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            _flatten(texts, f"{prefix}.{name}", value)
        else:
            texts[f"{prefix}.{name}"] = value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
