"""The search in one space: its index, its templates and its cohorts, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import Rule
from face128.domain.descriptors import Descriptors
from face128.domain.template import Template
from face128.gallery.cohort.cohort_follower import CohortFollower
from face128.gallery.cohort.cohort_snapshot import FIRST_CANDIDATES, ScoredCandidates
from face128.gallery.cohort.sampled_tail import Nearest
from face128.gallery.rows.records import SearchHit
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.exact_search import ProbeVector, nearest_faces, nearest_templates
from face128.gallery.search.index import Distances, Ids
from face128.gallery.search.index_sync import FaissIndexSync, Search
from face128.gallery.search.template_sync import TemplateSync
from face128.gallery.storage.database import Database

if TYPE_CHECKING:
    from face128.gallery.milvus.sync import MilvusIndexSync


class SpaceSearch:
    """Thread-safe. With Milvus, the photos are searched there, and what else is needed is in this process."""

    def __init__(self, space: StoredSpace, database: Database, milvus: MilvusIndexSync | None) -> None:
        self.space = space
        self._database = database
        self.index = milvus or FaissIndexSync(space)
        faiss = self.index if isinstance(self.index, FaissIndexSync) else None
        self._faces: Search = faiss.search if faiss else self._search_milvus
        self.templates = TemplateSync(space, self._faces, faiss)
        self._cohorts: dict[Template, CohortFollower] = {}

    def follow(self, connection: sa.Connection) -> None:
        """Bring what has been used up to date."""
        if isinstance(self.index, FaissIndexSync) and self.index.in_use:
            self.index.catch_up(connection)
        if self.templates.in_use:
            self.templates.catch_up(connection)
        for cohort in tuple(self._cohorts.values()):
            cohort.catch_up(connection)

    def catch_up(self, connection: sa.Connection, template: Template) -> None:
        """Bring what a search needs up to date."""
        self.index.catch_up(connection)
        if template == "mean":
            self.templates.catch_up(connection)

    def nearest(
        self,
        connection: sa.Connection,
        probe: ProbeVector,
        template: Template,
        candidates: int,
        search: Search | None = None,
    ) -> Iterator[SearchHit]:
        """The faces or people, nearest first. ``search`` finds the candidates, instead of the index."""
        if template == "nearest":
            return nearest_faces(connection, search or self._faces, probe, self.space, candidates)
        search = search or self.templates.search
        return nearest_templates(connection, search, self.templates.faces_of, probe, self.space, candidates)

    def cohort(self, template: Template) -> CohortFollower:
        def hits(connection: sa.Connection, probe: ProbeVector, search: Search) -> Iterator[SearchHit]:
            return self.nearest(connection, probe, template, FIRST_CANDIDATES, search)

        if template not in self._cohorts:
            search = self.templates.search if template == "mean" else self._faces
            nearest = Nearest(lambda connection: self.catch_up(connection, template), search, hits)
            # Another thread may have done it: all use the first.
            self._cohorts.setdefault(template, CohortFollower(self._database, self.space, template, nearest))
        return self._cohorts[template]

    def score(
        self, connection: sa.Connection, probe: ProbeVector, rule: Rule, template: Template, *, in_full: bool
    ) -> ScoredCandidates | None:
        """As ``CohortFollower.score``. ``in_full``: also the exact ``stranger_risk`` of a refused probe."""
        # Another service may change Milvus's collections at any moment: they are at no certain version.
        searched = self.templates if template == "mean" else self.index
        index = searched if isinstance(searched, FaissIndexSync | TemplateSync) and not in_full else None
        return self.cohort(template).score(connection, probe.astype(np.float64), rule, index)

    def sizes(self) -> dict[str, int]:
        """The number of photos in the index of each model, in this process."""
        return self.index.sizes() if isinstance(self.index, FaissIndexSync) else {}

    def _search_milvus(self, vector: Descriptors, k: int) -> tuple[Ids, Distances]:
        assert not isinstance(self.index, FaissIndexSync)
        return self.index.search(vector, self.space, k)
