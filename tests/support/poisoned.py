"""Photos that crash, hang or delay the engine ``fake``, where support/poison is on PYTHONPATH."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

CRASHES, HANGS, TAKES_TWO_SECONDS, HARMLESS, SLEEPS, FAILS = 13, 17, 19, 23, 29, 31
POISON_FOLDER = Path(__file__).parent / "poison"


def settings(**more: str) -> dict[str, str]:
    """For ``serving``: a service that these photos harm."""
    return {"FACE128_ENGINES": "fake", "PYTHONPATH": str(POISON_FOLDER), **more}


def photo(width: int) -> bytes:
    """A PNG of this width."""
    file = io.BytesIO()
    Image.effect_noise((width, 16), 50).save(file, "PNG")
    return file.getvalue()
