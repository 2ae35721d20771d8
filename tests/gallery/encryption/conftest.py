"""An encrypted gallery on each database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from encrypted_galleries import Place, in_folder


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_gallery: Callable[[str], str],
    new_database: Callable[[str], str],
) -> Place:
    if request.param == "sqlite":
        return in_folder(tmp_path)
    return Place(new_gallery(request.param), new_database(request.param))


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return in_folder(tmp_path)
