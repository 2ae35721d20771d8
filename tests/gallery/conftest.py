"""The gallery on each database; descriptors to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import database_servers
import pytest
from encrypted_galleries import Place, in_folder

from face128.gallery.gallery import Gallery

DATABASES = ("sqlite", "mariadb", "postgresql")


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes an empty database of a kind, and gives its URL."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('data')}/gallery.sqlite"
        return str(request.getfixturevalue(kind).new_database())

    return make


@pytest.fixture(scope="session")
def new_gallery(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Callable[[str], str]:
    """Makes a database of a kind for a gallery that is empty yet, and gives its URL; on a server it has its tables."""

    def make(kind: str) -> str:
        return new_database(kind) if kind == "sqlite" else str(request.getfixturevalue(kind).new_gallery())

    return make


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, new_gallery: Callable[[str], str]) -> str:
    return new_gallery(request.param)


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture(params=[*DATABASES, "milvus"])
def open_gallery(
    request: pytest.FixtureRequest, tmp_path: Path, new_gallery: Callable[[str], str]
) -> Iterator[Callable[..., Gallery]]:
    """Opens one gallery after the other on one database, as several workers do; with FAISS, and with Milvus."""
    opened: list[Gallery] = []
    with_milvus = request.param == "milvus"
    if with_milvus:
        database_servers.start_milvus(f"{tmp_path}/milvus.db")
    url = (
        f"sqlite:///{tmp_path}/gallery.sqlite" if request.param in ("sqlite", "milvus") else new_gallery(request.param)
    )

    def open_one(**options: Any) -> Gallery:
        opened.append(Gallery(url, f"{tmp_path}/milvus.db" if with_milvus else None, **options))
        return opened[-1]

    yield open_one
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(open_gallery: Callable[..., Gallery]) -> Gallery:
    return open_gallery()


@pytest.fixture(params=DATABASES)
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_gallery: Callable[[str], str],
    new_database: Callable[[str], str],
) -> Place:
    """An encrypted gallery with its keystore."""
    if request.param == "sqlite":
        return in_folder(tmp_path)
    return Place(new_gallery(request.param), new_database(request.param))


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return in_folder(tmp_path)
