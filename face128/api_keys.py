"""API keys: a name, the SHA-256 of the key, its scopes, and its collection if it has one. The key is stored nowhere.

A plain SHA-256 is enough for random keys: nobody finds one of 2**256 by trying, however fast the hash is. A slow hash
(scrypt, Argon2) is for passwords that people choose, and would cost each request 100 ms.
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
"""match: identification and verification. encode: photos to boxes and descriptors. gallery: who is enrolled.
admin: metrics and maintenance. No scope includes another."""

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
SCOPES_OF_COLLECTION = SCOPES - {"admin"}
"""Of a key that is bound to a collection: metrics and maintenance are those of all collections."""

KEY_PREFIX = "face128_"  # so that secret scanners recognize a leaked key
RANDOM_BYTES = 32
SAFE_SECRET_CHARACTERS = 32  # 128 bits or more in base64 or hexadecimal. A shorter secret might be guessed.

# Examples of documentation: everybody knows them. Any spelling and others like them are found by is_placeholder;
# these are known by their hash too.
_PLACEHOLDERS = ("change-me-in-production", "your-secure-api-key", "your-api-key", "your-secret-key", "changeme")
_PLACEHOLDER_START = re.compile(r"[\W_]*(your[\W_]|change[\W_]*(me|this|it))", re.IGNORECASE)
_PLACEHOLDER_WORDS = re.compile(
    "access|admin|api|auth|bar|change|default|demo|dev|dummy|enter|example|fake|foo|here|insert|key|letmein|long|me|my"
    "|none|null|password|passwd|pass|paste|placeholder|private|production|prod|put|random|replace|sample|secret|secure"
    "|set|strong|super|testing|test|this|todo|token|value|very|with|your"
)
_MAX_DIGITS_OF_PLACEHOLDER = 8
_PLACEHOLDER_REFUSED = "A key is a placeholder, as documentation has them. Make one with: face128 keys new NAME"

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What the name of a key, and that of a collection, may be."""
_ENTRY = re.compile(rf"({NAME.pattern}):([0-9a-fA-F]{{64}})(?::([^@]*))?(?:@(.*))?")
# A mistyped entry. As a plain secret no caller could ever match it.
_MALFORMED_ENTRY = re.compile(r".*:[0-9a-fA-F]{48,}([:@].*)?")


@dataclass(frozen=True)
class ApiKey:
    """Raises ValueError for a placeholder."""

    name: str
    digest: bytes = field(repr=False)  # SHA-256 of the key's UTF-8
    scopes: frozenset[Scope] = SCOPES
    collection: str | None = None  # to which it is bound; None: it may use any
    plain: bool = False  # the settings held the key itself, not its hash
    short: bool = False  # a plain key that might be guessed

    def __post_init__(self) -> None:
        if any(self.digest == hash_secret(placeholder) for placeholder in _PLACEHOLDERS):
            raise ValueError(_PLACEHOLDER_REFUSED)

    @property
    def entry(self) -> str:
        """Its entry in FACE128_API_KEYS: ``name:sha256[:scope+scope][@collection]``; see ``_parse_scopes``."""
        scopes = "+".join(scope for scope in get_args(Scope) if scope in self.scopes)
        every = self.scopes == (SCOPES if self.collection is None else SCOPES_OF_COLLECTION)
        bound = "" if self.collection is None else f"@{self.collection}"
        return f"{self.name}:{self.digest.hex()}" + ("" if every else f":{scopes}") + bound


def new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def key_from_secret(name: str, secret: str, scopes: str | None = None, collection: str | None = None) -> ApiKey:
    """What the service stores of a key. Raises ValueError for an invalid name or scope, and for a placeholder."""
    if not NAME.fullmatch(name):
        raise ValueError("A name has letters, digits, dots, dashes and underscores, 64 at most.")
    _refuse_placeholder(secret)
    return ApiKey(name, hash_secret(secret), _parse_scopes(scopes, collection), collection)


def parse_entry(entry: str, position: int) -> ApiKey:
    """Read an entry of FACE128_API_KEYS, or a plain secret, which is named after its ``position``.

    Raises ValueError for a malformed entry and for a placeholder. The message quotes no value.
    """
    if parts := _ENTRY.fullmatch(entry):
        name, sha256, scopes, collection = parts.groups()
        return ApiKey(name, bytes.fromhex(sha256), _parse_scopes(scopes, collection), collection)
    if _MALFORMED_ENTRY.fullmatch(entry):
        raise ValueError(
            f"Entry {position + 1} is not name:sha256[:scope+scope][@collection], and too much like it to be a key."
        )
    _refuse_placeholder(entry)
    short = len(entry) < SAFE_SECRET_CHARACTERS
    return ApiKey(f"plain-{position + 1}", hash_secret(entry), plain=True, short=short)


def find_key(secret: str, keys: Sequence[ApiKey]) -> ApiKey | None:
    """The key with this secret. Compares all in constant time, so that the time reveals nothing about any of them."""
    sha256 = hash_secret(secret)
    matches = [key for key in keys if hmac.compare_digest(sha256, key.digest)]
    return matches[-1] if matches else None


def hash_secret(secret: str) -> bytes:
    # A header may hold any bytes. What is not UTF-8 arrives as surrogates, and matches no key.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def is_placeholder(secret: str) -> bool:
    """Whether a key has nothing but the words of examples: "your-api-key", "<API_KEY>", "ChangeMe123", "secret"."""
    if _PLACEHOLDER_START.match(secret):
        return True
    letters = "".join(filter(str.isalpha, secret.lower()))
    digits = sum(map(str.isdigit, secret))
    return bool(letters) and digits <= _MAX_DIGITS_OF_PLACEHOLDER and not _PLACEHOLDER_WORDS.sub("", letters)


def _refuse_placeholder(secret: str) -> None:
    if is_placeholder(secret):
        raise ValueError(_PLACEHOLDER_REFUSED)


def _parse_scopes(text: str | None, collection: str | None) -> frozenset[Scope]:
    """Those that are named; without names all, but that a key of one collection never has the scope admin."""
    if collection is not None and not NAME.fullmatch(collection):
        raise ValueError("The name of a collection has letters, digits, dots, dashes and underscores, 64 at most.")
    all_scopes = SCOPES if collection is None else SCOPES_OF_COLLECTION
    if text is None:
        return all_scopes
    named = {part.strip() for part in text.split("+")}
    if not named <= SCOPES:
        raise ValueError(f"The scopes are {'+'.join(get_args(Scope))}, or some of them.")
    if not named <= all_scopes:
        raise ValueError("The scope admin is for all collections: a key that is bound to one cannot have it.")
    return frozenset(scope for scope in SCOPES if scope in named)
