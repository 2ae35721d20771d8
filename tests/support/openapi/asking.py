"""How schemathesis asks: as a photo mostly one that the engine finds a face in, and each time as another client."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

PHOTOS = Path(__file__).parents[3] / "fixtures" / "photos"
FILES = [(PHOTOS / name).read_bytes() for name in ("hopper-1984.jpg", "obama-2009.jpg")]

schemathesis.openapi.format("binary", st.sampled_from(FILES) | st.binary(max_size=64))

clients = itertools.count(int(IPv4Address("10.0.0.1")))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Many wrong keys from one address are answered 429, where schemathesis waits for 401."""
    case.headers["X-Forwarded-For"] = str(IPv4Address(next(clients)))
