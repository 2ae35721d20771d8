"""The gallery that the settings name, for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from face128.cli.errors import about
from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import DatabaseUnavailable
from face128.settings import load_settings

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery


@contextmanager
def open_gallery(collection: str = DEFAULT_COLLECTION) -> Iterator[Gallery]:
    """Open the gallery of a collection. What cannot be used is named in the errors."""
    from face128.gallery.gallery import Gallery

    settings = load_settings()
    with (
        about("FACE128_DATABASE_URL" if settings.database_url else settings.gallery_file, DatabaseUnavailable),
        closing(Gallery.from_settings(settings)) as gallery,
    ):
        yield gallery.of_collection(collection)
