"""A trail of some entries."""

from __future__ import annotations

from face128.gallery.gallery import Gallery
from face128.gallery.trail.chain import record
from face128.gallery.trail.entry import EVERYBODY


def write_entries(gallery: Gallery) -> None:
    """Eleven, after the first: "trail on"."""
    for number in range(10):
        with gallery.database.writing() as connection:
            record(connection, "enrol", person=str(number), details={"faces": 1})
    gallery.accounts.note("export", person=EVERYBODY)
