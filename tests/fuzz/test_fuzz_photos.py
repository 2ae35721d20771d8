"""10,000 damaged files of each format: no crash, no hang, no memory growth, and only the errors of a bad photo."""

from __future__ import annotations

import fuzz_photos
import fuzzing
import pytest


@fuzzing.linux
@pytest.mark.parametrize("name", fuzz_photos.TOKENS)
def test_a_damaged_photo_is_read_or_refused(name: str) -> None:
    count = 10_000 if fuzzing.FULL_COUNTS else 200
    report = fuzzing.fuzz(f"fuzz_photos:{name}", count)
    assert report.failures == []
    assert report.growth < 32
    assert report.peak < 600, "16 megapixels, some times"
    # Some damage must reach the decoders.
    assert min(report.outcomes["read"], report.outcomes["bad_image pixels"]) > count / 100
