"""Services that several tests talk to; each is started once, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import serving


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """The service as it comes, with the dlib engine."""
    with serving() as client:
        yield client


@pytest.fixture(scope="session")
def fake_service() -> Iterator[httpx.Client]:
    """The service with the engine without weights: for what is HTTP's business alone."""
    with serving(FACE128_ENGINES="fake") as client:
        yield client
