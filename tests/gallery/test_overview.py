"""The numbers that an operator sees first, on every database."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from people import add_record, enrol, synthetic

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.overview import overview
from face128.gallery.people.retention import Retention


@pytest.mark.parametrize("days", [0, 30])
def test_the_numbers_are_those_of_the_collection(database_url: str, days: int) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    vectors = synthetic(4)
    with closing(Gallery(database_url, retention=Retention(decision_days=days))) as gallery:
        enrol(gallery, "1", vectors[:2], force=True)
        add_record(gallery, "Somebody Else", vectors[2])
        enrol(gallery.of_collection("north"), "1", vectors[0])
        for vector in (vectors[2], 9 * vectors[3]):
            gallery.accounts.keep_search(gallery.match(Probe.of(DLIB, vector)))
        found = overview(gallery, since)
        assert (found.people, found.photos, found.collections) == (2, 3, 2)
        assert found.decisions == ({"yes": 1, "look_again": 0, "no": 1} if days else None)
        assert (found.to_review, found.jobs) == (0, [])
        later = overview(gallery, datetime.now(UTC) + timedelta(seconds=5)).decisions
        assert later == ({"yes": 0, "look_again": 0, "no": 0} if days else None)
        north = overview(gallery.of_collection("north"), since)
        assert (north.people, north.photos, north.collections) == (1, 1, 1)
