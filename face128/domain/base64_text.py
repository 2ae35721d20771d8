"""The URL-safe alphabet of base64 (RFC 4648, section 5), which is accepted wherever base64 is."""

from __future__ import annotations


def standard_base64(text: str) -> str:
    """The text in the standard alphabet. Padding may be missing in the URL-safe one: Node's ``base64url`` has none."""
    if "-" not in text and "_" not in text:
        return text
    return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
