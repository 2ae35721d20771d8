"""Services that several tests talk to; each is started once, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import insight_packs
import pytest
from serving import serving


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """The service as it comes, with the dlib engine."""
    with serving() as client:
        yield client


@pytest.fixture(scope="session")
def insight_service() -> Iterator[httpx.Client]:
    """The service with InsightFace's sample networks alone."""
    with serving(FACE128_ENGINES="insightface", FACE128_INSIGHTFACE_PACK=str(insight_packs.sample_pack())) as client:
        yield client


@pytest.fixture(scope="session", params=["dlib", "insightface"])
def either_service(request: pytest.FixtureRequest) -> httpx.Client:
    """The service with 128 numbers, and the one with 512: for what the documents promise of both."""
    client: httpx.Client = request.getfixturevalue("service" if request.param == "dlib" else "insight_service")
    return client


@pytest.fixture(scope="session")
def fake_service() -> Iterator[httpx.Client]:
    """The service with the engine without weights: for what is HTTP's business alone."""
    with serving(FACE128_ENGINES="fake") as client:
        yield client
