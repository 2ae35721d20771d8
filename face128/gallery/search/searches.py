"""The searches in the gallery: whose face is it, and which faces are nearest?

A probe may have descriptors by several models, and so may photos. Each person is compared in one space, the first in
the order of FACE128_DECISION_MODELS that they share with the probe, and of all people the nearest is the one with the
least distance / threshold: matching/several_models.py, as for posted lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from operator import attrgetter

import sqlalchemy as sa

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.model_card import ModelCard
from face128.domain.probe import Probe
from face128.domain.template import Template
from face128.domain.thresholds import NONE, Thresholds
from face128.errors import DatabaseUnavailable, NotReady, TooFewMembers, TooLarge
from face128.events import stage
from face128.gallery.cohort.cohort_snapshot import ScoredCandidates
from face128.gallery.rows.records import SearchHit
from face128.gallery.rows.space_rows import has_companions
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.exact_search import FIRST_CANDIDATES
from face128.gallery.search.follower import GalleryChanged
from face128.gallery.search.gallery_spaces import GallerySpaces
from face128.gallery.search.person_hits import PersonHit, ProbeSpace, found_in_spaces, merged
from face128.gallery.search.person_spaces import in_one_version
from face128.gallery.storage.database import Database
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.outcome import Decision
from face128.matching.several_models import choose, decision, models_of
from face128.matching.tails import require_enough_members

Recognised = tuple[Decision, SearchHit | None, list[SearchHit]]


@dataclass(frozen=True)
class _Question:
    probe: Probe
    thresholds: Thresholds
    rule: Rule
    template: Template
    explain: bool
    with_runner_up: bool
    hits: int = 1
    """How many of the nearest are wanted."""
    candidates: int = FIRST_CANDIDATES


class Searches:
    """Thread-safe."""

    def __init__(self, database: Database, spaces: GallerySpaces, template: Template) -> None:
        self._database, self._spaces, self._template = database, spaces, template

    def search(self, probe: Probe, k: int) -> list[SearchHit]:
        """The ``k`` nearest of all faces that the probe is compared with; of equally near ones, the older first."""

        def nearest(connection: sa.Connection) -> list[SearchHit]:
            # One candidate more shows that the k-th is certain.
            return [hit for hit, _ in islice(self.nearest_faces(connection, probe, k + 1), k)]

        return in_one_version(self._database, nearest)

    def nearest_faces(
        self, connection: sa.Connection, probe: Probe, candidates: int = FIRST_CANDIDATES
    ) -> Iterator[tuple[SearchHit, ModelCard]]:
        """All faces that the probe is compared with, and the probe's model in their space. Raises GalleryChanged."""
        return self._nearest(connection, probe, "nearest", candidates)

    def nearest_people(self, connection: sa.Connection, probe: Probe) -> Iterator[tuple[SearchHit, ModelCard]]:
        """As ``nearest_faces``, by the gallery's template."""
        return self._nearest(connection, probe, self._template, FIRST_CANDIDATES)

    def people(self, probe: Probe, k: int, rule: Rule = THRESHOLD) -> list[tuple[SearchHit, ModelCard]]:
        """The ``k`` nearest people by the gallery's template, and the probe's model where each is compared.

        The first has the least distance as a multiple of the greatest that the rule accepts in their space.
        """

        def nearest(connection: sa.Connection) -> list[tuple[SearchHit, ModelCard]]:
            found: list[tuple[SearchHit, ModelCard]] = []
            for hit, card in self._nearest(connection, probe, self._template, FIRST_CANDIDATES, rule):
                person = hit.record.person
                if not any(person.same_as(other.record.person) for other, _ in found):
                    found.append((hit, card))
                if len(found) == k:
                    break
            return found

        return in_one_version(self._database, nearest)

    def cohort(self, card: ModelCard) -> Cohort | None:
        """The members as strangers to each other, where a probe of this model is compared, by the gallery's template.

        None until the cohort rule, or an explained decision, has had them compared; and where they are too many.
        """
        space = self._spaces.space(StoredSpace.of(card))
        follower = space.cohort(self._template)
        return in_one_version(self._database, follower.copy)

    def _nearest(
        self, connection: sa.Connection, probe: Probe, template: Template, candidates: int, rule: Rule = THRESHOLD
    ) -> Iterator[tuple[SearchHit, ModelCard]]:
        spaces, places = self._spaces.deciding(connection, probe, template)
        streams = [space.search.nearest(connection, space.probe, template, candidates) for space in spaces]
        return ((one.hit, spaces[one.place].card) for one in merged(streams, spaces, places, rule, NONE))

    @stage("search")
    def match(
        self,
        probe: Probe,
        thresholds: Thresholds = NONE,
        rule: Rule = THRESHOLD,
        *,
        template: Template | None = None,
        explain: bool = False,
    ) -> Decision:
        """Decide whose face the probe is. The runner-up is the nearest face of another person.

        ``explain`` also computes the cohort score by the threshold rule, and ``stranger_risk`` in full by the cohort
        rule: without it, that of a refused probe may be lower than the true one. By the cohort rule, raises
        TooFewMembers, TooLarge, and NotReady while the cohort is being built.
        """
        asked = _Question(probe, thresholds, rule, template or self._template, explain, with_runner_up=True)
        return in_one_version(self._database, lambda connection: self._decide(connection, asked))[0]

    @stage("search")
    def recognise(
        self, probe: Probe, k: int, thresholds: Thresholds = NONE, rule: Rule = THRESHOLD, *, explain: bool = False
    ) -> Recognised:
        """As ``match``, with the person's face that is nearest to the probe, and the ``k`` nearest faces of anybody.

        By the template "mean", the first has the person's distance. The runner-up is only looked for if it is needed.
        """
        faces = self._template == "nearest"
        hits = max(k, 1) if faces else 1
        asked = _Question(
            probe, thresholds, rule, self._template, explain, explain or rule.reviews, hits, max(k, 1) + 1
        )
        decided, best, found = in_one_version(self._database, lambda connection: self._decide(connection, asked))
        if not faces:
            found = self.search(probe, k) if k else []
        return decided, best, found[:k]

    def _decide(self, connection: sa.Connection, asked: _Question) -> Recognised:
        spaces, places = self._spaces.deciding(connection, asked.probe, asked.template)
        scored = self._scored(connection, spaces, asked) if asked.rule.name == "cohort" else {}
        streams = []
        for place, space in enumerate(spaces):
            search = scored[place].search if place in scored else None
            streams.append(space.search.nearest(connection, space.probe, asked.template, asked.candidates, search))
        nearest: dict[int, PersonHit] = {}  # of all in each space that has a score, where they are decided there
        for place in scored:
            for hit in islice(streams[place], 1):
                streams[place] = chain([hit], streams[place])
                if places.decides(place, hit):
                    nearest[place] = PersonHit(place, hit)
        hits = merged(streams, spaces, places, asked.rule, asked.thresholds)
        first = list(islice(hits, asked.hits))
        known = [*first, *nearest.values()]
        if first and asked.with_runner_up:
            known += islice((one for one in chain(first, hits) if not one.same_person(first[0])), 1)
        found = found_in_spaces(known, spaces, {place: scored[place].cohort_score for place in nearest})
        best = choose(list(found.values()), asked.rule, asked.thresholds)
        named = asked.probe.by_model or (asked.explain and has_companions(connection))
        if best is None:
            card = spaces[0].card if spaces else asked.probe.own
            decided = Decision.of(None, None, card, asked.rule, asked.thresholds.get(card.name), None)
            return replace(decided, models=models_of(card.name) if named else ()), None, []
        place = next(place for place, one in found.items() if one is best)
        decided = decision(
            best, list(found.values()), asked.rule, asked.thresholds, with_runner_up=asked.with_runner_up
        )
        if asked.explain and asked.rule.name == "threshold":
            decided = replace(decided, cohort_score=self._score(connection, spaces[place], asked))
        decided = replace(decided, models=models_of(decided.model) if named else ())
        best_hit = min((one.hit for one in known if one.place == place), key=attrgetter("distance"))
        return decided, best_hit, [one.hit for one in first]

    def _scored(
        self, connection: sa.Connection, spaces: list[ProbeSpace], asked: _Question
    ) -> dict[int, ScoredCandidates]:
        """By the places of the spaces with enough members for the cohort rule. Raises the errors of ``match``."""
        scored, too_few = {}, []
        for place, space in enumerate(spaces):
            try:
                scored[place] = self._scored_candidates(connection, space, asked)
            except TooFewMembers as error:
                too_few.append(error)
        if too_few and not scored:
            raise max(too_few, key=lambda error: error.context["members"])
        if not spaces:
            require_enough_members(0, asked.rule)
        return scored

    def _score(self, connection: sa.Connection, space: ProbeSpace, asked: _Question) -> CohortScore | None:
        """What ``explain`` adds by the threshold rule, which decides without it."""
        try:
            return self._scored_candidates(connection, space, asked).cohort_score
        except (NotReady, TooLarge) as error:
            if isinstance(error, DatabaseUnavailable):
                raise
            return None

    def _scored_candidates(self, connection: sa.Connection, space: ProbeSpace, asked: _Question) -> ScoredCandidates:
        score = space.search.score(connection, space.probe, asked.rule, asked.template, in_full=asked.explain)
        if score is None:
            raise GalleryChanged()
        return score
