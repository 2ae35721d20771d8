"""Services that several tests talk to; each is started once, when a test first asks for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import database_servers
import httpx
import hypothesis
import insight_packs
import pytest
from serving import serving

# The same examples in each run: what fails, fails for whoever changed something. make fuzz looks for others.
hypothesis.settings.register_profile(
    "face128", deadline=None, derandomize="FUZZ_FULL" not in os.environ, print_blob=True
)
hypothesis.settings.load_profile("face128")
# The tests start hundreds of processes: without bytecode each would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


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


@pytest.fixture(scope="session")
def mariadb() -> Iterator[database_servers.Server]:
    """For all tests: each makes databases of its own in it."""
    with database_servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[database_servers.Server]:
    with database_servers.postgresql() as server:
        yield server
