"""What an operator is told of one collection: in /ready?details and by ``face128 gallery stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from face128.gallery.encryption.encryption_state import encryption_state
from face128.gallery.trail.reading import state_of_trail

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery


def details(gallery: Gallery) -> dict[str, Any]:
    """Plain values for JSON. It reads what is known already, and measures nothing.

    strangers: how many of them would match somebody (cohort/expected_fpir.py). encryption: only of an encrypted
    gallery, what of it is not as it should be (encryption/encryption_state.py). milvus: when it was compared, and what
    was mended in it (milvus/check.py). trail: where it was ever switched on, whether it is, and its number of entries.
    """
    encryption = encryption_state(gallery.database)
    milvus = gallery.milvus_state()
    told = {"strangers": gallery.strangers.told()} | ({"encryption": encryption} if encryption else {})
    told |= {"milvus": milvus} if milvus else {}
    with gallery.database.reading() as connection:
        trail = state_of_trail(connection)
    return told | ({"trail": trail} if trail else {})
