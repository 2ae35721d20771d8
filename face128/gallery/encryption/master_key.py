"""The master key: it wraps the keys of the keystore, and nothing else.

One of its own subkeys, by HKDF, does the wrapping; another one is its fingerprint, by which a wrapped key says whose it
is.
"""

from __future__ import annotations

import os
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12  # 96 bits, drawn at random for each use: NIST SP 800-38D, 8.2.2
FINGERPRINT_BYTES = 8


class MasterKey:
    def __init__(self, secret: bytes) -> None:
        self._wrapping = AESGCM(derived(secret, "face128 wrapping"))
        self._fingerprint = derived(secret, "face128 fingerprint")[:FINGERPRINT_BYTES].hex()

    @cached_property
    def fingerprint(self) -> str:
        """Tells one master key from another, and nothing about either."""
        return self._fingerprint

    def wrap(self, key: bytes, gallery_id: str, key_id: str) -> bytes:
        return sealed(self._wrapping, key, f"face128 key\x1f{gallery_id}\x1f{key_id}".encode())

    def unwrap(self, wrapped: bytes, gallery_id: str, key_id: str) -> bytes | None:
        """None if it was wrapped by another key, for another gallery or key id, or is damaged."""
        return opened(self._wrapping, wrapped, f"face128 key\x1f{gallery_id}\x1f{key_id}".encode())


def derived(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose, from a key of 256 bits."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)


def sealed(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    """The nonce, and the data encrypted and authenticated together with what it is bound to."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, bound_to)


def opened(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes | None:
    """None where a bit was changed, or another key or binding was used."""
    try:
        return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        return None
