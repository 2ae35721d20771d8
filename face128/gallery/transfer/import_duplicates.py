"""Which faces of a file are also somebody else's: all are compared with each other, and with the stored ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.domain.model_card import ModelCard
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.index import Distances, Ids
from face128.gallery.transfer.compared_faces import ComparedFaces
from face128.gallery.transfer.near_pairs import near_pairs, pair_count
from face128.terminal.progress import Progress

MAX_DUPLICATES = 1_000_000  # pairs that are kept: a file of one face has as many as the square of its size
MIN_PAIRS_WITH_PROGRESS = 10**9  # about a second
MILLION = 10**6


@dataclass(frozen=True)
class NearPairs:
    """Pairs of faces of two people, those of the file's first faces first."""

    first: Ids
    """The places of the new faces."""
    second: Ids
    """The places of the others: new ones, or stored ones behind them."""
    distances: Distances
    models: npt.NDArray[np.int64]
    """The card of each, by its number."""

    def __len__(self) -> int:
        return len(self.first)


def find_duplicates(
    faces: ComparedFaces, new: int, cards: Sequence[ModelCard], *, start_thread: Callable[[], object] | None = None
) -> NearPairs:
    """The pairs within the threshold that are of two people and have one of the first ``new`` faces at least.

    Two faces are compared by the first of the ``cards`` that both have. ``start_thread`` is that of ``near_pairs``.
    """
    spaces = [StoredSpace.of(card) for card in cards]
    columns: list[tuple[Ids, Ids, Distances, npt.NDArray[np.int64]]] = []
    count = 0
    for number, (card, space) in enumerate(zip(cards, spaces, strict=True)):
        own = faces.of_space(space)
        first = int(np.searchsorted(own.places, new))
        decided = faces.share_any(spaces[:number])
        with _Millions(pair_count(len(own.places), first)) as advance:
            found = near_pairs(own.vectors, first, card.metric, card.threshold, advance, start_thread=start_thread)
            for one, other, distances in found:
                one, other = own.places[one], own.places[other]
                chosen = ~_of_one_person(faces, one, other)
                if number:
                    chosen &= ~decided[faces.kinds[one], faces.kinds[other]]
                columns.append((one[chosen], other[chosen], distances[chosen], np.full(chosen.sum(), number)))
                count += int(chosen.sum())
                if count > MAX_DUPLICATES:
                    return _sorted(columns)
    return _sorted(columns)


def _of_one_person(faces: ComparedFaces, one: Ids, other: Ids) -> npt.NDArray[np.bool_]:
    """As ``Person.same_as``."""
    users, names, by_name = faces.users.values, faces.names.values, faces.by_name.values
    return np.asarray((users[one] == users[other]) | ((by_name[one] | by_name[other]) & (names[one] == names[other])))


def _sorted(columns: list[tuple[Ids, Ids, Distances, npt.NDArray[np.int64]]]) -> NearPairs:
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
    first, second, distances, models = (np.concatenate(each) for each in zip(nothing, *columns, strict=True))
    order = np.lexsort((second, first))[:MAX_DUPLICATES]
    return NearPairs(first[order], second[order], distances[order], models[order])


class _Millions:
    """Shows the progress of a long comparison in millions of pairs."""

    def __init__(self, pairs: int) -> None:
        long = pairs >= MIN_PAIRS_WITH_PROGRESS
        self._progress = Progress("Comparing, million pairs", pairs // MILLION) if long else None
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Callable[[int], None]:
        if self._progress is None:
            return lambda pairs: None
        self._progress.__enter__()
        return self._advance

    def __exit__(self, *error: object) -> None:
        if self._progress:
            self._progress.__exit__(None, None, None)

    def _advance(self, pairs: int) -> None:
        with self._lock:
            before, self._done = self._done, self._done + pairs
        if self._progress and (millions := self._done // MILLION - before // MILLION):
            self._progress.advance(millions)
