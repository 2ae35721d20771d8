"""The gallery on each database; descriptors to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers

from face128.gallery import Gallery

DATABASES = ("sqlite", "mariadb", "postgresql")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gallery.sqlite"
    return str(request.getfixturevalue(request.param).new_database())


@pytest.fixture
def open_gallery(database_url: str) -> Iterator[Callable[[], Gallery]]:
    """Opens one gallery after the other on one database, as several workers do."""
    opened: list[Gallery] = []

    def open_one() -> Gallery:
        opened.append(Gallery(database_url))
        return opened[-1]

    yield open_one
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(open_gallery: Callable[[], Gallery]) -> Gallery:
    return open_gallery()
