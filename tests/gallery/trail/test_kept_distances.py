"""Which of the kept decisions another threshold or alpha would have decided otherwise, counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from face128.gallery.gallery import Gallery
from face128.gallery.trail import decisions, kept_distances
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.kept_distances import OtherDecisions

MODEL = "dlib-resnet-v1"
DISTANCES = (0.2, 0.38, 0.45, 0.7, None)
RISKS = (0.001, 0.01, 0.3, None)


def made() -> list[KeptDecision]:
    """Each distance with each risk and verdict; and some that do not count."""
    kept = [
        KeptDecision("search", None, distance, risk, verdict, "cohort", MODEL)
        for distance, risk, verdict in itertools.product(DISTANCES, RISKS, ("yes", "look_again", "no"))
    ]
    kept += [KeptDecision("verify", "1", 0.3, None, "yes", "threshold", MODEL)] * 3
    return kept + [KeptDecision("search", None, 0.3, 0.01, "no", "threshold", "retail-0095")] * 5


def test_they_are_those_that_one_counts(open_gallery: Callable[..., Gallery]) -> None:
    gallery, models = open_gallery(), frozenset({MODEL})
    with gallery.database.writing() as connection:
        decisions.keep(connection, made(), 30)
    with gallery.of_collection("site").database.writing() as connection:
        decisions.keep(connection, made(), 30)
    searches = [each for each in made() if each.kind == "search" and each.model == MODEL and each.distance is not None]
    with_risk = [each for each in searches if each.risk is not None]
    with gallery.database.reading() as connection:
        for threshold in (0.1, 0.38, 0.5):
            pairs = [(each.verdict == "yes", each.distance <= threshold) for each in searches]  # type: ignore[operator]
            assert kept_distances.by_threshold(connection, models, threshold) == counted(pairs)
        for alpha in (0.0005, 0.01, 0.5):
            pairs = [(each.verdict == "yes", each.risk <= alpha and each.distance <= 0.6) for each in with_risk]  # type: ignore[operator]
            assert kept_distances.by_alpha(connection, models, alpha, 0.6) == counted(pairs)


def counted(pairs: list[tuple[bool, bool]]) -> OtherDecisions:
    was, would_be = np.array(pairs).T
    return OtherDecisions(int(was.sum()), int((~was).sum()), int((was & ~would_be).sum()), int((~was & would_be).sum()))


def test_only_the_newest_count_where_there_are_many(
    open_gallery: Callable[..., Gallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = open_gallery()
    monkeypatch.setattr(kept_distances, "MAX_COUNTED", 5)
    with gallery.database.writing() as connection:
        decisions.keep(connection, [KeptDecision("search", None, 0.5, None, "no", "threshold", MODEL)] * 9, 30)
        decisions.keep(connection, [KeptDecision("search", None, 0.1, None, "yes", "threshold", MODEL)] * 3, 30)
        decisions.keep(connection, [KeptDecision("verify", None, 0.1, None, "yes", "threshold", MODEL)], 30)
    with gallery.database.reading() as connection:
        found = kept_distances.by_threshold(connection, frozenset({MODEL}), 0.38)
        assert found == OtherDecisions(3, 1, 0, 0)
        assert kept_distances.by_alpha(connection, frozenset({MODEL}), 0.1, 0.6).total == 0
