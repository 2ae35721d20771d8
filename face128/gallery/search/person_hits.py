"""What a probe finds in several spaces, as one sequence: each person only in the space that decides them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from face128.domain.decision_rule import Rule
from face128.domain.model_card import ModelCard
from face128.domain.thresholds import Thresholds
from face128.gallery.rows.records import SearchHit
from face128.gallery.search.exact_search import ProbeVector
from face128.gallery.search.person_spaces import PersonSpaces
from face128.gallery.search.space_search import SpaceSearch
from face128.matching.conformal import CohortScore
from face128.matching.outcome import Candidate
from face128.matching.several_models import Found


@dataclass(frozen=True)
class ProbeSpace:
    """A space that decides anybody, and the probe in it."""

    card: ModelCard
    probe: ProbeVector
    search: SpaceSearch


@dataclass(frozen=True)
class PersonHit:
    place: int
    """Of the space that decides the person, in the order of preference."""
    hit: SearchHit

    def same_person(self, other: PersonHit) -> bool:
        return self.hit.record.person.same_as(other.hit.record.person)

    @property
    def candidate(self) -> Candidate:
        record = self.hit.record
        return Candidate(record.person.reg_no, record.person.name, self.hit.distance, place=record.face_id)


class PersonPlaces:
    """Where each person is decided, at a version of the gallery."""

    def __init__(self, people: PersonSpaces, version: int, spaces: Sequence[ProbeSpace]) -> None:
        self._people, self._version = people, version
        self._spaces = [space.search.space for space in spaces]

    def decides(self, place: int, hit: SearchHit) -> bool:
        """Whether the space at this place decides the person. Raises GalleryChanged."""
        if len(self._spaces) == 1:
            return True
        return self._people.place_of(self._version, hit.record.face_id, self._spaces) == place


def merged(
    streams: Sequence[Iterable[SearchHit]],
    spaces: Sequence[ProbeSpace],
    places: PersonPlaces,
    rule: Rule,
    thresholds: Thresholds,
) -> Iterator[PersonHit]:
    """The hits of all spaces, those with the least distance / threshold first; of equal ones, the older face.

    A stream is only read until its distances are as far as what the others have: most people may be decided elsewhere.
    """

    def ordered(place: int) -> Iterator[tuple[float, int, PersonHit]]:
        card = spaces[place].card
        limit = rule.max_distance(card, thresholds.get(card.name))
        return ((hit.distance / limit, hit.record.face_id, PersonHit(place, hit)) for hit in streams[place])

    if len(spaces) == 1:
        return (PersonHit(0, hit) for hit in streams[0])
    in_order = heapq.merge(*map(ordered, range(len(spaces))), key=itemgetter(0, 1))
    return (one for _, _, one in in_order if places.decides(one.place, one.hit))


def found_in_spaces(
    hits: Iterable[PersonHit], spaces: Sequence[ProbeSpace], scores: dict[int, CohortScore | None]
) -> dict[int, Found]:
    """By the places of the spaces that have any hits: the nearest person, the nearest other one, and the score."""
    by_place: dict[int, list[PersonHit]] = {}
    for one in sorted(hits, key=lambda one: (one.place, one.hit.distance)):
        by_place.setdefault(one.place, []).append(one)
    found = {}
    for place, own in by_place.items():
        other = next((one.candidate for one in own if not one.same_person(own[0])), None)
        found[place] = Found(spaces[place].card, own[0].candidate, other, scores.get(place))
    return found
