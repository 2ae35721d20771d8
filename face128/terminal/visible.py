"""Text that may come from a file or a database, made safe to print: a terminal obeys control characters."""

from __future__ import annotations

import re

# C0 and C1 controls, and the marks that reorder or hide the text around them. Joiners stay: names need them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]")


def visible(text: object) -> str:
    """The text on one line: line breaks and tabs become a space, other control characters are written as escapes."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], re.sub(r"[\t\n\r\f\v]+", " ", str(text)))
