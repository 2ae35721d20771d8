"""Damaged weight files: each reader accepts them, or raises a ConfigurationError."""

from __future__ import annotations

import fuzzing
import pytest


@fuzzing.linux
@pytest.mark.parametrize(
    ("reader", "few", "many"),
    [("dlib", 100, 3000), ("faceapi", 600, 20_000), ("insightface", 200, 5000), ("retail", 400, 10_000)],
)
def test_damaged_weights_are_read_or_refused(reader: str, few: int, many: int) -> None:
    count = many if fuzzing.FULL_COUNTS else few
    report = fuzzing.fuzz(f"fuzz_weights:{reader}", count)
    assert report.failures == []
    assert report.growth < 32
    assert report.peak < 400
    assert min(report.outcomes["read"], report.outcomes["refused"]) > count / 500
