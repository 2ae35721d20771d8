"""Short texts that people write: names, ids, references. Each can be stored, compared and printed."""

from __future__ import annotations

import unicodedata

from face128.errors import InvalidRequest


def check_plain_text(field: str, text: str, max_characters: int) -> None:
    """Raise InvalidRequest unless the text is 1 to ``max_characters`` that can be stored, compared and printed."""
    # Printable text has no control characters (Cc) or surrogates (Cs). Other text may be fine: no-break spaces, joiners
    # in emoji.
    unwanted = not text.isprintable() and {"Cc", "Cs"} & {unicodedata.category(character) for character in text}
    if not 0 < len(text) <= max_characters or text != text.strip() or unwanted:
        raise InvalidRequest(
            f"The {field} is 1 to {max_characters} characters, without control characters or spaces around it.",
            field=field,
        )


def refuse_nul(field: str, text: str) -> None:
    """Raise InvalidRequest for a text with a NUL: PostgreSQL takes none, not even to compare it."""
    if "\0" in text:
        raise InvalidRequest(f"The {field} has a NUL character.", field=field)
