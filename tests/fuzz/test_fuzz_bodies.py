"""100,000 damaged bodies of /match: the parser, the list cache and plain_reader agree on each."""

from __future__ import annotations

import fuzzing


@fuzzing.linux
def test_a_damaged_body_means_the_same_to_the_parser_and_the_plain_reader() -> None:
    count = 100_000 if fuzzing.FULL_COUNTS else 3_000
    report = fuzzing.fuzz("fuzz_bodies", count)
    assert report.failures == []
    assert report.growth < 32
    assert report.peak < 300
    codes = ("read", "bad_request", "invalid_request", "invalid_descriptor", "model_mismatch")
    codes += tuple(f"{code}, list cached" for code in ("read", "invalid_request", "invalid_descriptor"))
    assert min(report.outcomes[code] for code in codes) > count / 1000
