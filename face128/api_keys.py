"""API keys: a name, the SHA-256 of the key, and what it opens. The key itself is kept nowhere.

A plain SHA-256 is right for keys that are drawn at random: of 2**256 nobody finds one by trying, however fast he
hashes. A slow hash (scrypt, Argon2) makes up for passwords that people think of, and would cost each request 100 ms.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

Scope = Literal["match", "encode", "gallery", "admin"]
"""match: whose face it is, and whether two are one. encode: photos to boxes and descriptors. gallery: who is enrolled.
admin: metrics and maintenance. None contains another."""

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

PREFIX = "face128_"  # by which scanners of repositories and logs recognize a key that has leaked
RANDOM_BYTES = 32
SHORT = 32
"""Characters. A shorter secret might be guessed; 32 in base64 or hexadecimal are 128 bits or more."""

_PLACEHOLDERS = {"change-me-in-production"}  # the default of document 4: known to everyone
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ENTRY = re.compile(rf"({_NAME.pattern}):([0-9a-fA-F]{{64}})(?::(.*))?")
# What was surely meant for an entry: taken for a plain secret, nobody could ever use it.
_NEARLY = re.compile(r".*:[0-9a-fA-F]{48,}(:.*)?")


@dataclass(frozen=True)
class ApiKey:
    name: str
    digest: bytes = field(repr=False)
    """SHA-256 of the key's UTF-8."""
    scopes: frozenset[Scope] = SCOPES
    plain: bool = False
    """It stood in the settings as it is, not as its hash."""
    short: bool = False
    """A plain one that might be guessed."""

    @property
    def entry(self) -> str:
        """Its entry in FACE128_API_KEYS: ``name:sha256[:scope+scope]``; without scopes it opens everything."""
        some = (
            "" if self.scopes == SCOPES else ":" + "+".join(scope for scope in get_args(Scope) if scope in self.scopes)
        )
        return f"{self.name}:{self.digest.hex()}{some}"


def draw(name: str, scopes: str | None = None) -> tuple[str, ApiKey]:
    """A new random key, and what the service has to know of it. Raises ValueError for a wrong name or scope."""
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return secret, describe(name, secret, scopes)


def describe(name: str, secret: str, scopes: str | None = None) -> ApiKey:
    """What the service has to know of a key that there is already. Raises ValueError for a wrong name or scope."""
    if not _NAME.fullmatch(name):
        raise ValueError("A name has letters, digits, dots, dashes and underscores, 64 at most.")
    return _checked(ApiKey(name, digest(secret), _scopes(scopes)))


def parse(entry: str, position: int) -> ApiKey:
    """Read an entry of FACE128_API_KEYS, or a plain secret; ``position`` names the latter.

    Raises ValueError for what cannot be meant, and for a placeholder of the documentation. Its words hold no value.
    """
    if parts := _ENTRY.fullmatch(entry):
        name, sha256, scopes = parts.groups()
        return _checked(ApiKey(name, bytes.fromhex(sha256), _scopes(scopes)))
    if _NEARLY.fullmatch(entry):
        raise ValueError(f"Entry {position + 1} is not name:sha256[:scope+scope], and too much like it to be a key.")
    return _checked(ApiKey(f"plain-{position + 1}", digest(entry), plain=True, short=len(entry) < SHORT))


def find(given: str, keys: Sequence[ApiKey]) -> ApiKey | None:
    """The key that was given. All are compared, in constant time: how long it takes tells nothing about any of them."""
    sha256 = digest(given)
    found = None
    for key in keys:
        if hmac.compare_digest(sha256, key.digest):
            found = key
    return found


def digest(secret: str) -> bytes:
    # A header may hold any bytes; what is not UTF-8 arrives as surrogates, and is nobody's key.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _scopes(text: str | None) -> frozenset[Scope]:
    if text is None:
        return SCOPES
    named = {part.strip() for part in text.split("+")}
    if not named <= SCOPES:
        raise ValueError(f"The scopes are {'+'.join(get_args(Scope))}, or some of them.")
    return frozenset(scope for scope in SCOPES if scope in named)


def _checked(key: ApiKey) -> ApiKey:
    if any(key.digest == digest(placeholder) for placeholder in _PLACEHOLDERS):
        raise ValueError("A key is a placeholder from the documentation. Make one with: face128 keys new NAME")
    return key
