"""Many faces in little memory, as an import compares them: first its new ones, then the stored ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix
from face128.domain.fusion import fuse
from face128.gallery.rows.space_rows import StoredPhoto, owner_numbers
from face128.gallery.rows.statements import BATCH_ROWS
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index import Ids


class Column:
    """Values that come one after the other. It grows without a second copy of what is there."""

    def __init__(self, dtype: Any, width: int | None = None) -> None:
        self._data: npt.NDArray[Any] = np.empty((0,) if width is None else (0, width), dtype)
        self._size = 0
        self._viewed = False

    def __len__(self) -> int:
        return self._size

    def extend(self, values: npt.ArrayLike) -> None:
        more = np.asarray(values, self._data.dtype)
        end = self._size + len(more)
        assert not self._viewed  # the view would be of memory that is freed
        if end > len(self._data):
            # An eighth more. Memory of this size is not copied: the kernel gives its pages another address.
            self._data.resize((end + end // 8, *self._data.shape[1:]), refcheck=False)
        self._data[self._size : end] = more
        self._size = end

    @property
    def values(self) -> npt.NDArray[Any]:
        """A view. From now on no more values can be added."""
        self._viewed = True
        return self._data[: self._size]


@dataclass(frozen=True)
class FacesOfSpace:
    """The faces that have a descriptor in a space."""

    places: Ids
    """Among all faces, ascending."""
    vectors: Matrix


class ComparedFaces:
    """A face's place is its number here. Not thread-safe."""

    def __init__(self) -> None:
        self.ids, self.users, self.names = Column(np.int64), Column(np.int64), Column(np.int64)
        self.by_name = Column(np.bool_)
        self._kinds = Column(np.int32)
        self._models: dict[tuple[str, ...], int] = {}
        """The models that the descriptors of a face are of, and their number in ``_kinds``."""
        self._vectors: dict[str, Column] = {}
        self._places: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, photos: Iterable[StoredPhoto]) -> None:
        """Their ids may be any numbers."""
        rest = iter(photos)
        while batch := list(islice(rest, BATCH_ROWS)):
            start = len(self)
            users, names, by_name = zip(*(owner_numbers(*owner) for _, _, owner in batch), strict=True)
            self.ids.extend([face_id for face_id, _, _ in batch])
            self.users.extend(users)
            self.names.extend(names)
            self.by_name.extend(by_name)
            kinds = [tuple(sorted(photo)) for _, photo, _ in batch]
            self._kinds.extend([self._models.setdefault(kind, len(self._models)) for kind in kinds])
            for model in sorted({model for kind in kinds for model in kind}):
                own = [(start + place, photo[model]) for place, (_, photo, _) in enumerate(batch) if model in photo]
                places, descriptors = zip(*own, strict=True)
                vectors = np.frombuffer(b"".join(descriptors), "<f4").reshape(len(own), -1)
                self._vectors.setdefault(model, Column(np.float32, vectors.shape[1])).extend(vectors)
                self._places.setdefault(model, Column(np.int64)).extend(places)

    def of_space(self, space: StoredSpace) -> FacesOfSpace:
        names = {number: space.model_of(kind) for kind, number in self._models.items()}
        wanted = sorted({name for name in names.values() if name is not None})
        if not wanted:
            return FacesOfSpace(np.empty(0, np.int64), np.empty((0, space.dimension), np.float32))
        if len(wanted) == 1 and "+" not in wanted[0] and len(self._places[wanted[0]]) == len(self):
            return FacesOfSpace(np.arange(len(self)), self._vectors[wanted[0]].values)
        parts = [self._part(name, [number for number, each in names.items() if each == name]) for name in wanted]
        places = np.concatenate([part.places for part in parts])
        order = np.argsort(places, kind="stable")
        return FacesOfSpace(places[order], np.concatenate([part.vectors for part in parts])[order])

    def share_any(self, spaces: Sequence[StoredSpace]) -> npt.NDArray[np.bool_]:
        """(kinds, kinds): whether two faces of these kinds can be compared in one of the spaces."""
        kinds = list(self._models)
        found = np.zeros((len(kinds), len(kinds)), np.bool_)
        for space in spaces:
            own = np.array([space.model_of(kind) is not None for kind in kinds], np.bool_)
            found |= own[:, None] & own
        return found

    @property
    def kinds(self) -> npt.NDArray[Any]:
        return self._kinds.values

    def _part(self, name: str, kinds: list[int]) -> FacesOfSpace:
        """The faces of these kinds, which have this name in the space."""
        places = np.flatnonzero(np.isin(self._kinds.values, kinds))
        rows = [self._rows(model, places) for model in name.split("+")]
        return FacesOfSpace(places, rows[0] if len(rows) == 1 else fuse(*rows))

    def _rows(self, model: str, places: Ids) -> Matrix:
        return self._vectors[model].values[np.searchsorted(self._places[model].values, places)]
