"""An entry of the trail, its hash, and the mark that stands for a person."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

EVERYBODY = "*"
"""The mark of an entry that is about all people of its collection: an export, a list."""
ACTIONS = (
    *("enrol", "replace", "erase", "update", "merge", "import", "export", "list", "read", "verify", "match", "review"),
    *("purge", "encrypt", "rekey", "trail"),
)
"""What is recorded: docs/trail.md says when."""
MARK_CHARACTERS = 32  # 128 bits in hexadecimal
KEY_CHARACTERS = 16  # of a key's fingerprint


@dataclass(frozen=True)
class Entry:
    """The columns of the table ``trail``, in their order."""

    seq: int
    at: str
    actor: str
    action: str
    person: str
    """Their mark, EVERYBODY, or empty for nobody."""
    collection: str
    request_id: str
    result: str
    details: str
    """JSON in ASCII."""
    hash_key: str = ""
    """The fingerprint of the key that makes the hash; empty: there is none, and it is a plain SHA-256."""
    hash: str = ""

    def chained(self, before: str, key: bytes | None) -> Entry:
        """With its hash, which covers the hash of the entry before."""
        signed = replace(self, hash_key=fingerprint(key), hash="")
        fields = json.dumps([*vars(signed).values()][:-1], separators=(",", ":"))
        return replace(signed, hash=digest(key, f"{before}\n{fields}"))


def digest(key: bytes | None, text: str) -> str:
    """HMAC-SHA256 by the key; without one, SHA-256: both in hexadecimal."""
    data = text.encode("utf-8", "backslashreplace")
    return (hmac.new(key, data, hashlib.sha256) if key else hashlib.sha256(data)).hexdigest()


def sealed(seal: str, entry_hash: str, key: bytes | None) -> str:
    """The seal after one more entry. It covers all entries, and only the last one is kept, in ``state``.

    Who has the entries but not the key cannot make it: so the last entries cannot be removed unnoticed.
    """
    return digest(key, f"seal {seal} {entry_hash}")


def fingerprint(key: bytes | None) -> str:
    return digest(key, "fingerprint")[:KEY_CHARACTERS] if key else ""


def mark(key: bytes, collection: str, user_id: str) -> str:
    """What stands for a person in the trail: a keyed hash, so that the trail names nobody."""
    text = f"{collection}\0{user_id}".encode("utf-8", "backslashreplace")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:MARK_CHARACTERS]


def details_json(details: dict[str, Any]) -> str:
    return json.dumps(details, separators=(",", ":"))


def now() -> str:
    """UTC, with microseconds: sorted as text, times are in order."""
    return timestamp(datetime.now(UTC))


def timestamp(time: datetime) -> str:
    """A time with a zone as the tables keep it: ``2026-11-30T10:47:31.123456Z``."""
    try:
        utc = time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # of the first year or the last one, and in UTC of none
        utc = datetime.min if time.year == datetime.min.year else datetime.max
    return utc.isoformat(timespec="microseconds") + "Z"
