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
    return empty_database(request, request.param, tmp_path)


def empty_database(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    """Its URL."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/gallery.sqlite"
    return str(request.getfixturevalue(kind).new_database())


@pytest.fixture(params=[*DATABASES, "milvus"])
def open_gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Gallery]]:
    """Opens one gallery after the other on one database, as several workers do; with FAISS, and with Milvus."""
    opened: list[Gallery] = []
    with_milvus = request.param == "milvus"
    if with_milvus:
        servers.start_milvus(f"{tmp_path}/milvus.db")
    url = empty_database(request, "sqlite" if with_milvus else request.param, tmp_path)

    def open_one() -> Gallery:
        opened.append(Gallery(url, f"{tmp_path}/milvus.db" if with_milvus else None))
        return opened[-1]

    yield open_one
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(open_gallery: Callable[[], Gallery]) -> Gallery:
    return open_gallery()
