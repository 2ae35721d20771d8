"""The spaces of a gallery that are in use, and which of them decide whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from face128.domain import decision_models
from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import Tail
from face128.domain.model_card import ModelCard, find_card
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.gallery.rows.stored_space import Models, StoredSpace
from face128.gallery.search.person_hits import PersonPlaces, ProbeSpace
from face128.gallery.search.person_spaces import PersonSpaces, in_one_version
from face128.gallery.search.space_search import SpaceSearch
from face128.gallery.storage.database import Database

if TYPE_CHECKING:
    from face128.gallery.milvus.sync import MilvusIndexSync


class GallerySpaces:
    """Thread-safe. What a search needs is read when it is first needed, and then follows the changes."""

    def __init__(
        self, database: Database, milvus: MilvusIndexSync | None, template: Template, order: DecisionModels
    ) -> None:
        """``template`` is what is loaded and built at the start; ``order`` says which space decides a person."""
        self._database, self._milvus, self._template, self._order = database, milvus, template, order
        self._spaces: dict[Models, SpaceSearch] = {}
        self._spaces_lock = threading.Lock()
        self._people = PersonSpaces()

    def load(self) -> None:
        """Bring what is in use up to date; the first time, what a probe by all models needs."""
        if not self._spaces:
            in_one_version(self._database, self._load_preferred)
        self.follow()

    def follow(self) -> None:
        """Bring what is in use up to date."""
        with self._database.reading() as connection:
            if self._milvus:
                self._milvus.catch_up(connection)
            if self._people.holds_people:
                self._people.catch_up(connection)
            for space in tuple(self._spaces.values()):
                space.follow(connection)

    def forget(self) -> None:
        """Drop everything. Searches that run keep what they have."""
        with self._spaces_lock:
            self._spaces, self._people = {}, PersonSpaces()

    def build_cohorts(self, timeout_s: float, tail: Tail | Literal["auto"]) -> bool:
        """Start to build what the cohort rule needs. Returns whether it is ready for this tail in time."""
        spaces = in_one_version(self._database, self._preferred)
        return all(space.cohort(self._template).build(timeout_s, tail) for space in spaces)

    def sizes(self) -> dict[str, int]:
        """The number of photos in the index of each model that is in use."""
        if self._milvus:
            return self._milvus.sizes()
        return {model: size for space in tuple(self._spaces.values()) for model, size in space.sizes().items()}

    def space(self, space: StoredSpace) -> SpaceSearch:
        with self._spaces_lock:
            if space.models not in self._spaces:
                self._spaces[space.models] = SpaceSearch(space, self._database, self._milvus)
            return self._spaces[space.models]

    def deciding(
        self, connection: sa.Connection, probe: Probe, template: Template
    ) -> tuple[list[ProbeSpace], PersonPlaces]:
        """The spaces that decide anybody, the preferred first; a probe of one model has one."""
        offered = [(card, vector, StoredSpace.of(card)) for card, vector in probe.spaces(self._order)]
        version = -1
        # A probe may be of any model: of one that no photo has, nothing is kept.
        if len(offered) > 1 or offered[0][2].models not in self._spaces:
            version = self._people.catch_up(connection)
            deciding = self._people.deciding(version, [space for _, _, space in offered])
            offered = [offered[place] for place in deciding]
        spaces = [ProbeSpace(card, vector, self.space(space)) for card, vector, space in offered]
        for space in spaces:
            space.search.catch_up(connection, template)
        return spaces, PersonPlaces(self._people, version, spaces)

    def _load_preferred(self, connection: sa.Connection) -> None:
        for space in self._preferred(connection):
            space.catch_up(connection, self._template)

    def cards(self) -> list[ModelCard]:
        """What people can be compared in, by the photos that there are; the preferred first."""
        cards = in_one_version(self._database, self._cards)
        return list({StoredSpace.of(card).models: card for card in reversed(cards)}.values())[::-1]

    def _cards(self, connection: sa.Connection) -> list[ModelCard]:
        version = self._people.catch_up(connection)
        stored = {model for models in self._people.combinations(version) for model in models}
        cards = [card for card in map(find_card, sorted(stored)) if card is not None]
        return decision_models.spaces(cards, self._order)

    def _preferred(self, connection: sa.Connection) -> list[SpaceSearch]:
        """The spaces in which people are decided for a probe by all models that the gallery has."""
        spaces = [StoredSpace.of(card) for card in self._cards(connection)]
        deciding = self._people.deciding(self._people.catch_up(connection), spaces)
        return [self.space(spaces[place]) for place in deciding]
