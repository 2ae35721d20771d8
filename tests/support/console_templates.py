"""The console's templates, as text: what they say, and the names of their fields."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from paths import ROOT

CONSOLE = ROOT / "face128" / "api" / "console"
TEMPLATES = {
    str(file.relative_to(CONSOLE / "templates")): file.read_text()
    for file in sorted((CONSOLE / "templates").rglob("*.html"))
}
"""By name."""
_JINJA = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
_CODE = ("code", "kbd", "pre")
_READ_ATTRIBUTES = ("alt", "aria-label", "aria-description", "label", "placeholder", "title")
_NO_WORDS = re.compile(r'face128|UTC|aria-(invalid|describedby)="[^"]*"|autofocus')
"""The same in every language; and what a macro writes into an element."""
_WORD = re.compile(r"[^\W\d_]{2,}")


def field_names() -> set[str]:
    """Of the forms of all templates, as far as they are written out."""
    return {name for text in TEMPLATES.values() for name in re.findall(r'\bname="([\w-]+)"', text)}


def bare_text(template: str) -> list[str]:
    """Words that people would read, or hear, in every language: outside of Jinja's expressions."""
    finder = _Finder()
    finder.feed(_JINJA.sub(" ", template))
    finder.close()
    return finder.found


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0
        """How many elements around the current place hold what is no sentence: _CODE."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in _CODE
        self.found += [f"{name}={value}" for name, value in attrs if name in _READ_ATTRIBUTES and self._said(value)]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in _CODE

    def handle_data(self, data: str) -> None:
        if not self._code and self._said(data):
            self.found.append(data.strip())

    def _said(self, text: str | None) -> bool:
        return bool(_WORD.search(_NO_WORDS.sub("", text or "")))
