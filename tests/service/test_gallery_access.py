"""Changes of the gallery have threads of their own: however many wait, searches are answered."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from people import enrol, synthetic

from face128.domain.collection import DEFAULT_COLLECTION
from face128.domain.model_card import DLIB
from face128.gallery.gallery import Gallery
from face128.service.gallery_access import GalleryAccess
from face128.settings import Settings

WAITING_CHANGES = 20
TIMEOUT_S = 30


def test_reading_does_not_wait_for_changes_that_hang(tmp_path: Path) -> None:
    released = threading.Event()

    def hang(_: Gallery) -> bool:
        return released.wait(2 * TIMEOUT_S)

    async def read_beside_changes() -> tuple[int, list[bool]]:
        access = GalleryAccess(Settings(data=tmp_path))
        gallery = access.of(DEFAULT_COLLECTION)
        changes = [asyncio.create_task(gallery.change(hang)) for _ in range(WAITING_CHANGES)]
        try:
            await asyncio.sleep(0)  # each change is handed over
            total, _ = await asyncio.wait_for(gallery.run(lambda gallery: gallery.page(0, 1)), TIMEOUT_S)
        finally:
            released.set()
        outcomes = await asyncio.gather(*changes)
        await access.close()
        return total, outcomes

    assert asyncio.run(read_beside_changes()) == (0, [True] * WAITING_CHANGES)


@pytest.mark.parametrize(
    ("rule", "compared"), [({}, False), ({"decision": "cohort"}, True), ({"review_alpha": 0.2}, True)]
)
def test_the_members_are_compared_at_the_start_where_each_decision_needs_it(
    rule: dict[str, Any], compared: bool, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, **rule)
    with closing(Gallery(f"sqlite:///{settings.gallery_file}")) as gallery:
        for number in range(40):
            enrol(gallery, str(number), synthetic(1, number)[0])

    async def start() -> bool:
        access = GalleryAccess(settings)
        access.start()
        async with asyncio.timeout(TIMEOUT_S):
            while await access.problem() is not None:  # noqa: ASYNC110  (it sets no event)
                await asyncio.sleep(0.02)
        found = await access.of(DEFAULT_COLLECTION).run(lambda gallery: gallery.cohort(DLIB))
        await access.close()
        return found is not None

    assert asyncio.run(start()) == compared
