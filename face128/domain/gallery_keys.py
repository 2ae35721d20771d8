"""The master keys of an encrypted gallery, as text: 32 random bytes in base64 or hex, several separated by commas."""

from __future__ import annotations

import base64
import binascii
import secrets

KEY_BYTES = 32  # of AES-256
MIN_DISTINCT_BYTES = 12  # 32 random bytes have fewer with a probability below 1 in a trillion; a sentence, or zeros, do
SENTENCE = (
    "each key is 32 random bytes in base64 or hex, as 'face128 gallery new-key' prints; several are separated by commas"
)


def new_gallery_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_gallery_keys(text: str) -> list[bytes]:
    """The keys, the first of which is for what is new. Raises ValueError, with a sentence that does not quote them."""
    keys = [_parse(part.strip()) for part in text.strip().split(",")]
    if any(key is None for key in keys) or len(set(keys)) < len(keys):
        raise ValueError(SENTENCE)
    return [key for key in keys if key is not None]


def _parse(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == KEY_BYTES and len(set(key)) >= MIN_DISTINCT_BYTES else None
