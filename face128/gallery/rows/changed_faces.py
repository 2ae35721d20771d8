"""What has changed between two versions of the gallery, read once for both indexes: of photos, and of templates.

The next search after an import's transaction reads its rows before it answers. A second reading would double that wait.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from face128.domain.descriptors import Matrix
from face128.gallery.rows.space_rows import FaceOwners, erased_ids, owner_numbers, photo_batches
from face128.gallery.rows.stored_space import StoredSpace, vectors_of
from face128.gallery.search.index import Ids


@dataclass(frozen=True)
class ChangedOwners:
    """Holds no descriptors: it may be kept."""

    known: int
    now: int
    """The versions of the gallery."""
    gone: Ids
    """The photos that were erased, in any collection."""
    owners: FaceOwners
    """Of the photos that are new or changed."""


def read_changed(
    connection: sa.Connection, space: StoredSpace, known: int, now: int
) -> tuple[ChangedOwners, list[tuple[str, Ids, Matrix]]]:
    """What has changed above the version ``known``, in a transaction that sees the version ``now``.

    The second are the names, ids and descriptors of the photos, as ``read_vectors`` gives them.
    """
    gone = erased_ids(connection, known)
    numbers: list[tuple[int, int, int, bool]] = []
    models: list[str] = []
    vectors: list[tuple[str, Ids, Matrix]] = []
    for name, photos in photo_batches(connection, space, known):
        own_ids, descriptors, owners = zip(*photos, strict=True)
        numbers += [(face_id, *owner_numbers(*owner)) for face_id, owner in zip(own_ids, owners, strict=True)]
        models += [name] * len(photos)
        vectors.append((name, np.array(own_ids, np.int64), vectors_of(models[-len(photos) :], descriptors)))
    ids, users, names, by_name = np.array(numbers, np.int64).reshape(-1, 4).T.copy()
    changed = FaceOwners(ids, users, names, by_name.astype(np.bool_), models)
    return ChangedOwners(known, now, gone, changed), vectors
