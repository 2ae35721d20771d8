"""Collections: the sites or tenants of one service, each with people of its own."""

from __future__ import annotations

from face128.api_keys import NAME
from face128.errors import InvalidRequest

DEFAULT_COLLECTION = ""
"""That of everybody who is enrolled without naming one."""


def check_collection(name: str) -> str:
    """The name, if it is that of a collection. Raises InvalidRequest."""
    if name != DEFAULT_COLLECTION and not NAME.fullmatch(name):
        sentence = "The name of a collection has letters, digits, dots, dashes and underscores, 64 at most."
        raise InvalidRequest(sentence, field="collection")
    return name
