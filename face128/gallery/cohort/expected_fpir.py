"""How many strangers would match somebody: the expected FPIR for the gallery's own faces, models and size.

People are strangers to each other. So some of them ask in turn, each with one photo, who of all others is the nearest,
as ``match`` would find them. The share of those for whom that is a match estimates the share of strangers
(matching/stranger_estimates.py). Each further person is one more to be taken for: the answer holds for one size.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, FACEAPI, RETAIL, ModelCard, find_card, pair_card
from face128.domain.probe import Probe
from face128.gallery.rows.face_ids import FaceIds
from face128.gallery.rows.records import Person, SearchHit
from face128.gallery.rows.space_rows import read_descriptors, read_embeddings
from face128.gallery.rows.statements import read_records
from face128.gallery.search.person_spaces import in_one_version
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces
from face128.matching.stranger_estimates import Estimate, share_of_strangers

log = logging.getLogger("face128")

MAX_STRANGER_SHARE = Rule().alpha
"""Above this share of strangers who match somebody there is a warning: what the cohort rule promises by default."""
SAMPLE_PHOTOS = 1000
"""The standard error of a share of 1 % is then a third of it."""
MIN_PEOPLE = 500
"""Who have asked: none of 500 is a share of at most 1.5 %. Fewer only count where they show a larger share than the
model's known one."""
GROWTH = 0.1
"""After so large a change of the number of faces it is measured again,"""
SETTLED_CHANGE = 0.01
"""once it changes by less than this between two looks: beside an import, it would be measured again and again,"""
MIN_INTERVAL_S = 600.0
"""or this long after the last time;"""
MAX_AGE_S = 24 * 3600.0
"""and after so long, if there was any change."""
TIME_LIMIT_S = 60.0
"""For the searches: by a slow database or Milvus fewer photos ask."""

Nearest = Callable[[sa.Connection, Probe], Iterator[tuple[SearchHit, ModelCard]]]
"""The people or faces that a probe is compared with, nearest first, and the model of their distances."""


def _known_pairs() -> dict[str, tuple[int, int]]:
    pair = pair_card(DLIB, RETAIL)
    assert pair is not None
    return {DLIB.name: (9, 9_080_000), FACEAPI.name: (9, 9_080_000), pair.name: (2, 1_176_379)}


KNOWN_PAIRS = _known_pairs()
"""How many pairs of two people are within the model's threshold, and of how many. dlib's: of all pairs of 4,263 real
people, 29 November 2026. Those of the pair of two networks: domain/model_card.py."""


@dataclass(frozen=True)
class ExpectedFpir:
    estimate: Estimate
    basis: Literal["members", "known_pairs"]
    """members: these have asked. known_pairs: too few have; the model's known share of pairs, for so many people."""
    faces: int
    """In the gallery, when it was measured."""
    asked: int
    """The photos that have asked."""
    thresholds: dict[str, float]
    """By the models that decided."""

    @property
    def too_large(self) -> bool:
        return self.estimate.share > MAX_STRANGER_SHARE

    @property
    def warning(self) -> str:
        share, low, high = (f"{100 * value:.2g}" for value in vars(self.estimate).values())
        limits = ", ".join(f"{threshold:g}" for threshold in sorted(set(self.thresholds.values())))
        return (
            f"About {share} % of strangers ({low} to {high} %) would be taken for one of these {self.faces:,} faces at "
            f"the threshold {limits}. FACE128_DECISION=cohort keeps all but FACE128_ALPHA of them out; docs/gallery.md "
            "says what else does."
        )


class FpirWatch:
    """Measures it for one collection, and keeps the last result. Thread-safe."""

    def __init__(self, database: Database, ids: FaceIds, nearest: Nearest, rule: Rule) -> None:
        self._database, self._ids, self._nearest, self._rule = database, ids, nearest, rule
        self._measuring = threading.Lock()
        self._measured = (-1, -1, 0.0)
        """The version, the number of faces and the time of the last measurement."""
        self._seen: int | None = None
        """The number of faces when ``refresh`` looked last."""
        self.latest: ExpectedFpir | None = None
        """None as well where nobody can ask."""

    @property
    def rule_name(self) -> str:
        return self._rule.name

    @property
    def share(self) -> float | None:
        """The expected FPIR; by the cohort rule its alpha. None if it is not known yet."""
        if self._rule.name == "cohort":
            return self._rule.alpha
        return None if self.latest is None else self.latest.estimate.share

    def told(self) -> dict[str, Any]:
        """What an operator is told, as JSON."""
        if self._rule.name == "cohort":
            return {"rule": "cohort", "expected_fpir": self._rule.alpha, "basis": "alpha", "tail": self._rule.tail}
        told: dict[str, Any] = {"rule": "threshold", "expected_fpir": None}
        if (latest := self.latest) is not None:
            interval = asdict(latest.estimate)
            told |= {"expected_fpir": interval.pop("share"), **interval, "basis": latest.basis, "faces": latest.faces}
            told |= {"asked": latest.asked, "thresholds": latest.thresholds}
            told |= {"warning": latest.warning} if latest.too_large else {}
        return told

    def refresh(self, stopped: threading.Event) -> None:
        """Measure it, unless that was done for a gallery of about this size. Half of the time it rests."""
        if self._rule.name == "cohort":
            return
        version, count = in_one_version(self._database, self._size)
        last_version, last_count, measured_at = self._measured
        grown = abs(count - last_count) > GROWTH * last_count
        old = version != last_version and time.monotonic() > measured_at + MAX_AGE_S
        before, self._seen = self._seen, count
        settled = before is None or abs(count - before) <= SETTLED_CHANGE * before
        waited = time.monotonic() > measured_at + MIN_INTERVAL_S
        if not ((grown and (settled or waited)) or old):
            return
        last = self.latest
        self.measure(TIME_LIMIT_S, stopped.wait)
        now = self.latest
        if now and now.too_large and not (last and last.too_large):
            log.warning("%s%s", self._prefix, now.warning)
        elif last and last.too_large and not (now and now.too_large):
            log.info("%sso few strangers would match somebody that a threshold keeps them out again", self._prefix)

    def measure(self, limit_s: float, pause: Callable[[float], bool] | None = None) -> None:
        """Measure it now. ``pause`` is called after each search with the seconds that it took; True ends it."""
        if self._rule.name == "cohort":
            return
        with self._measuring:
            version, count, ids = in_one_version(self._database, self._sample)
            deadline = time.monotonic() + limit_s
            asked: list[tuple[str, bool]] = []
            thresholds: dict[str, float] = {}
            for face_id in ids:
                start = time.monotonic()
                if start > deadline:
                    break
                found = in_one_version(self._database, partial(self._ask, face_id=face_id))
                if found is not None:
                    who, within, card = found
                    asked.append((who, within))
                    thresholds[card.name] = card.threshold
                if pause is not None and pause(time.monotonic() - start):
                    return
            judged = judge(asked, thresholds, count)
            self.latest = None if judged is None else ExpectedFpir(*judged, count, len(asked), thresholds)
            self._measured = version, count, time.monotonic()

    def _size(self, connection: sa.Connection) -> tuple[int, int]:
        """The gallery's version, and its number of faces."""
        version = self._ids.catch_up(connection)
        return version, self._ids.page(version, 0, 0)[0]

    def _sample(self, connection: sa.Connection) -> tuple[int, int, list[int]]:
        """And the photos that ask: the same in each worker process."""
        version, count = self._size(connection)
        positions = np.random.default_rng(0).permutation(count)[:SAMPLE_PHOTOS]
        return version, count, self._ids.at_positions(version, positions)

    def _ask(self, connection: sa.Connection, face_id: int) -> tuple[str, bool, ModelCard] | None:
        """Whose photo it is, whether the nearest other person is a match, and by which model; None if it cannot ask."""
        photos = read_records(connection, faces.c.id == face_id)
        stored = read_descriptors(connection, read_embeddings(connection, [face_id]))
        if not photos or not stored:
            return None
        person = photos[0].person
        by_card = [
            (find_card(model), np.frombuffer(data, "<f4").astype(np.float64)) for model, data in stored[0].items()
        ]
        known = tuple((card, vector) for card, vector in by_card if card is not None)
        if not known:
            return None
        hits = self._nearest(connection, Probe(known, by_model=len(known) > 1))
        for hit, card in hits:
            if not hit.record.person.same_as(person):
                return _key(person), hit.distance <= card.threshold, card
        return _key(person), False, known[0][0]

    @property
    def _prefix(self) -> str:
        return f"collection {self._database.collection}: " if self._database.collection else ""


def judge(
    asked: list[tuple[str, bool]], thresholds: dict[str, float], gallery_faces: int
) -> tuple[Estimate, Literal["members", "known_pairs"]] | None:
    """The estimate, and what it rests on, from who has asked and whether they have matched somebody.

    Each of a person's m photos counts 1/m. None if nothing is known: nobody has asked.
    """
    photos = Counter(who for who, _ in asked)
    if not photos:
        return None
    people = len(photos)
    shown = share_of_strangers(sum(within / photos[who] for who, within in asked) / people, people)
    if people >= MIN_PEOPLE or not thresholds.keys() <= KNOWN_PAIRS.keys():
        return shown, "members"
    by_pairs = by_known_pairs(thresholds, people * gallery_faces / len(asked))
    return (shown, "members") if shown.low > by_pairs.high else (by_pairs, "known_pairs")


def by_known_pairs(models: Iterable[str], people: float) -> Estimate:
    """The share of strangers that is expected among so many people, at the models' own thresholds."""
    pairs = [KNOWN_PAIRS[model] for model in models]
    known = max((share_of_strangers(within / count, 2 * count) for within, count in pairs), key=lambda one: one.share)
    return Estimate(*(-math.expm1(people * math.log1p(-share)) for share in vars(known).values()))


def _key(person: Person) -> str:
    return f"name {person.name}" if person.by_name else f"user {person.user_id}"
