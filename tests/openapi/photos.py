"""What schemathesis sends as a photo: mostly one that the engine finds a face in, else something that is none."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

PHOTOS = Path(__file__).parents[2] / "fixtures" / "photos"
FILES = [path.read_bytes() for path in sorted(PHOTOS.glob("*-20*.jpg"))]

schemathesis.openapi.format("binary", st.sampled_from(FILES) | st.binary(max_size=64))
