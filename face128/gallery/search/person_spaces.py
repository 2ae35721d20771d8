"""In which of several spaces each person is decided: in the first in which one of their photos can be compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import numpy as np
import sqlalchemy as sa

from face128.errors import NotReady
from face128.gallery.rows.space_rows import erased_ids, has_companions, read_owners
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.follower import Follower, GalleryChanged
from face128.gallery.search.index import Ids
from face128.gallery.search.person_templates import PersonTemplates
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, in_collection

T = TypeVar("T")

MAX_ATTEMPTS = 100  # transactions in which one search may find that the gallery has changed meanwhile

FEW = 8

Combination = tuple[str, ...]
"""The models of one photo."""


def in_one_version(database: Database, job: Callable[[sa.Connection], T], *, compared: bool = False) -> T:
    """Run the job in a reading transaction, and again where it raises GalleryChanged. Raises NotReady.

    ``compared``: see ``Database.reading``.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            with database.reading(compared=compared) as connection:
                return job(connection)
        except GalleryChanged:
            continue
    raise NotReady("The gallery changes too fast for this search. Try again soon.")


class PersonSpaces(Follower):
    """The people with the models of their photos. While all photos are of one model, only its name is kept.

    The methods raise GalleryChanged unless it is at ``version``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._only: set[str] = set()
        self._people: PersonTemplates | None = None
        self._deciding: dict[tuple[StoredSpace, ...], list[int]] = {}

    @property
    def holds_people(self) -> bool:
        """Whether there is anything that must be forgotten when a person is erased."""
        return self._people is not None

    def combinations(self, version: int) -> list[Combination]:
        """Those that occur."""
        with self.at(version):
            return [tuple(models.split(" ")) for models in self._combinations()]

    def deciding(self, version: int, spaces: Sequence[StoredSpace]) -> list[int]:
        """The places of those spaces that decide anybody. The preferred space is the first."""
        with self.at(version):
            photos = [models.split(" ") for models in self._combinations()]
            places = [place for place, space in enumerate(spaces) if any(map(space.model_of, photos))]
            occurring = tuple(spaces[place] for place in places)
            if occurring not in self._deciding:
                self._deciding[occurring] = self._find_deciding(occurring)
            return [places[place] for place in self._deciding[occurring]]

    def place_of(self, version: int, face_id: int, spaces: Sequence[StoredSpace]) -> int:
        """Which of the spaces decides the person of a photo; their number if none does."""
        with self.at(version):
            combinations = self._only if self._people is None else self._people.models_of_person(face_id)
            return min((_place(models, spaces) for models in combinations), default=len(spaces))

    def _combinations(self) -> Collection[str]:
        return self._only if self._people is None else self._people.models_in_use()

    def _find_deciding(self, spaces: Sequence[StoredSpace]) -> list[int]:
        by_photos = {_place(models, spaces) for models in self._combinations()} - {len(spaces)}
        if self._people is None or len(by_photos) == 1:
            return sorted(by_photos)
        found: list[int] = []
        before = np.empty(0, np.int64)
        for place in sorted(by_photos):
            here = [
                self._people.people_of(models) for models in self._combinations() if _place(models, spaces) == place
            ]
            people = np.concatenate(here)
            if _any_outside(people, before):
                found.append(place)
            before = np.concatenate([before, people])
        return found

    def _update(self, connection: sa.Connection, known: int | None) -> None:
        self._deciding = {}
        if known is None or self._people is None:
            changed = sa.true() if known is None else faces.c.version > known
            own = in_collection(connection, whole=known is None)
            models = set(connection.scalars(sa.select(faces.c.model).where(changed, own).distinct()))
            self._only = models if known is None else self._only | models
            self._people = None
            if len(self._only) < 2 and not has_companions(connection):
                return
            known = None
        try:
            people = PersonTemplates() if known is None else self._people
            assert people is not None
            gone = np.empty(0, np.int64) if known is None else erased_ids(connection, known)
            people.update(gone, read_owners(connection, None, known))
            self._people = people
        except BaseException:  # half of the changes: all is read again
            self._people, self._version = None, -1
            raise


def _any_outside(some: Ids, others: Ids) -> bool:
    """Whether any of these numbers is none of the others. To look for the first few takes a hundredth of the time."""
    first = any(not (others == number).any() for number in some[:FEW].tolist())
    return first or not bool(np.isin(some, others).all())


def _place(models: str, spaces: Sequence[StoredSpace]) -> int:
    """The first space in which a photo with these models can be compared."""
    photo = models.split(" ")
    return next((place for place, space in enumerate(spaces) if space.model_of(photo) is not None), len(spaces))
