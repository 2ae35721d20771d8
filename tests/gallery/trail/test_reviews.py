"""Judgements of decisions: the queue, what becomes of them with decisions and people, and on each database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from collection_statements import watched_statements
from encrypted_galleries import Place, files_in, in_clear, in_folder
from people import enrol

from face128.domain.decision_rule import Judgement
from face128.domain.model_card import DLIB
from face128.errors import InvalidRequest, NotFound
from face128.gallery.encryption.encrypting import encrypt, rekey
from face128.gallery.gallery import Gallery
from face128.gallery.people.person_changes import merge
from face128.gallery.people.person_file import person_file
from face128.gallery.people.retention import Retention
from face128.gallery.storage.tables import reviews as rows
from face128.gallery.trail import decisions, reviews
from face128.gallery.trail.check import check
from face128.gallery.trail.decisions import KeptDecision
from face128.gallery.trail.reading import page

ANNA, BEN, CARL = ("anna wintour 1", "ben jonson 2", "carl loewe 3")
FACES = dict(zip((ANNA, BEN, CARL), (np.full(128, value, np.float32) for value in (0.1, 0.5, 0.9)), strict=True))
DAYS = Retention(decision_days=30)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
KINDS = [(database, encrypted) for database in ("sqlite", "mariadb", "postgresql") for encrypted in (False, True)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}{'-encrypted' if kind[1] else ''}")
def shared(
    request: pytest.FixtureRequest,
    new_gallery: Callable[[str], str],
    new_database: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gallery]:
    kind, encrypted = request.param
    keys = new_database(kind) if kind != "sqlite" else f"sqlite:///{tmp_path_factory.mktemp('keys')}/keys.sqlite"
    place = Place(new_gallery(kind), keys)
    with closing(place.open(**({} if encrypted else {"keys": None}), retention=DAYS, trail=True)) as gallery:
        yield gallery


@pytest.fixture
def gallery(shared: Gallery) -> Gallery:
    """A collection of its own, of three people."""
    return filled(shared.of_collection(f"c{uuid.uuid4().hex}"))


def filled(gallery: Gallery) -> Gallery:
    for user_id, face in FACES.items():
        enrol(gallery, user_id, face, force=True)
    return gallery


def look_again(gallery: Gallery, *people: str, distance: float = 0.4, at: datetime = NOW) -> list[int]:
    """Decisions that are to be looked at again, about these people; their ids."""
    made = [KeptDecision("search", who, distance, 0.02, "look_again", "cohort", DLIB.name) for who in people]
    with gallery.database.writing() as connection:
        decisions.keep(connection, made, 30, at)
        return [each.id for each in decisions.page(connection, len(people))][::-1]


def judge(gallery: Gallery, decision: int, judgement: Judgement, person: str | None = None) -> None:
    with gallery.database.writing() as connection:
        reviews.judge(connection, decision, judgement, person)


def waiting(gallery: Gallery) -> list[int]:
    with gallery.database.reading() as connection:
        found = [each.id for each in reviews.queue(connection, 100)]
        assert reviews.count_waiting(connection) == len(found)
    return found


def judged(gallery: Gallery) -> list[tuple[int, str | None, str, str | None]]:
    with gallery.database.reading() as connection:
        found = reviews.judged(connection, 100)
    return [(each.decision.id, each.decision.user_id, each.judgement, each.person) for each in found][::-1]


def test_what_is_judged_leaves_the_queue_until_it_is_undone(gallery: Gallery) -> None:
    first, second, third = look_again(gallery, ANNA, BEN, CARL)
    with gallery.database.writing() as connection:
        made = [KeptDecision("search", ANNA, 0.2, 0.001, "yes", "cohort", DLIB.name)]
        made += [KeptDecision("search", None, 0.4, 0.02, "look_again", "cohort", DLIB.name)]  # erased meanwhile
        decisions.keep(connection, made, 30, NOW)
    assert waiting(gallery) == [third, second, first]
    with gallery.database.reading() as connection:
        assert [each.id for each in reviews.queue(connection, 1, before=third)] == [second]
    judge(gallery, first, "right")
    judge(gallery, second, "wrong")
    judge(gallery, third, "person", BEN)
    assert waiting(gallery) == []
    assert judged(gallery) == [
        (first, ANNA, "right", None),
        (second, BEN, "wrong", None),
        (third, CARL, "person", BEN),
    ]
    judge(gallery, third, "person", CARL)  # who was found: it was right
    judge(gallery, first, "wrong")  # the last one counts
    with gallery.database.writing() as connection:
        reviews.undo(connection, second)
        reviews.undo(connection, second)
    assert judged(gallery) == [(first, ANNA, "wrong", None), (third, CARL, "right", None)]
    assert waiting(gallery) == [second]


def test_a_judgement_is_on_the_trail_about_both(gallery: Gallery) -> None:
    (decision,) = look_again(gallery, ANNA)
    judge(gallery, decision, "person", BEN)
    with gallery.database.writing() as connection:
        reviews.undo(connection, decision)
        reviews.undo(connection, decision)  # nothing to undo, nothing to record
    with gallery.database.reading() as connection:
        told = {
            who: [(entry.action, entry.result, entry.details) for entry in page(connection, 9, person=who)]
            for who in (ANNA, BEN)
        }
        assert check(connection).faults == []
    details = f'{{"decision":{decision}}}'
    assert told[BEN][:2] == [("review", "undone", details), ("review", "person", details)]
    assert told[ANNA][:2] == [("review", "undone", details), ("review", "person", details)]


def test_what_cannot_be_judged_is_refused(gallery: Gallery) -> None:
    (decision,) = look_again(gallery, ANNA)
    with gallery.database.writing() as connection:
        decisions.keep(connection, [KeptDecision("search", BEN, 0.2, None, "yes", "threshold", DLIB.name)], 30, NOW)
        (accepted,) = decisions.page(connection, 1)
    other = filled(gallery.of_collection(f"{gallery.database.collection}b"))
    for where, which, judgement, person, error in (
        (gallery, accepted.id, "right", None, NotFound),
        (gallery, 2**62, "right", None, NotFound),
        (other, decision, "right", None, NotFound),
        (gallery, decision, "person", "nobody", NotFound),
        (gallery, decision, "person", None, InvalidRequest),
        (gallery, decision, "person", "x" * 256, InvalidRequest),
        (gallery, decision, "right", BEN, InvalidRequest),
    ):
        with pytest.raises(error):
            judge(where, which, judgement, person)
    with pytest.raises(NotFound), other.database.writing() as connection:
        reviews.undo(connection, decision)
    assert judged(gallery) == judged(other) == []


def test_it_goes_with_the_decision_and_names_nobody_who_is_erased(gallery: Gallery) -> None:
    about_anna, named_anna, about_carl = look_again(gallery, ANNA, BEN, CARL)
    judge(gallery, about_anna, "right")
    judge(gallery, named_anna, "person", ANNA)
    judge(gallery, about_carl, "wrong")
    gallery.erase_user(ANNA)
    assert judged(gallery) == [(named_anna, BEN, "wrong", None), (about_carl, CARL, "wrong", None)]
    look_again(gallery, BEN, at=NOW + timedelta(days=20))
    decisions.purge(gallery.database, 30, NOW + timedelta(days=31))
    assert judged(gallery) == []
    with gallery.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(rows)) == 0


def test_two_people_who_are_one_are_judged_as_one(gallery: Gallery) -> None:
    mistaken, named, other = look_again(gallery, ANNA, CARL, CARL)
    judge(gallery, mistaken, "person", BEN)
    judge(gallery, named, "person", ANNA)
    judge(gallery, other, "person", BEN)
    merge(gallery, ANNA, BEN)
    assert judged(gallery) == [
        (mistaken, BEN, "right", None),
        (named, CARL, "person", BEN),
        (other, CARL, "person", BEN),
    ]


def test_a_persons_file_has_the_judgements_about_them_and_names_nobody_else(gallery: Gallery) -> None:
    first, second = look_again(gallery, ANNA, BEN)
    judge(gallery, first, "person", BEN)
    judge(gallery, second, "right")
    told = {who: person_file(gallery, who)["reviews"] for who in FACES}
    assert [(each["decision"], each["judgement"]) for each in told[ANNA]] == [(first, "wrong")]
    assert [(each["decision"], each["judgement"]) for each in told[BEN]] == [(second, "right"), (first, "person")]
    assert told[CARL] == []
    assert BEN not in repr(told[ANNA])
    assert ANNA not in repr(told[BEN])


@pytest.mark.parametrize("kind", ["sqlite", "mariadb", "postgresql"])
def test_they_are_sealed_with_the_people(
    kind: str, new_gallery: Callable[[str], str], new_database: Callable[[str], str], tmp_path: Path
) -> None:
    place = in_folder(tmp_path) if kind == "sqlite" else Place(new_gallery(kind), new_database(kind))
    with closing(Gallery(place.url, retention=DAYS)) as gallery:
        filled(gallery)
        first, second = look_again(gallery, ANNA, BEN)
        judge(gallery, first, "person", CARL)
        judge(gallery, second, "right")
        before = judged(gallery)
    with closing(place.open()) as gallery:
        assert judged(gallery) == before
        assert encrypt(gallery.database) == 3
        rekey(gallery.database)
        assert judged(gallery) == before
        with gallery.database.reading() as connection:
            assert CARL not in set(connection.scalars(sa.select(rows.c.user_id)))
        gallery.erase_user(CARL)
        assert judged(gallery) == [(first, ANNA, "wrong", None), (second, BEN, "right", None)]
    if kind == "sqlite":
        assert in_clear(files_in(tmp_path), np.zeros((0, 128), np.float32), FACES) == set()


def test_every_statement_is_about_one_collection(tmp_path: Path) -> None:
    with watched_statements() as found, closing(Gallery(f"sqlite:///{tmp_path}/g.db", retention=DAYS)) as gallery:
        filled(gallery)
        first, second = look_again(gallery, ANNA, BEN)
        judge(gallery, first, "person", BEN)
        judge(gallery, second, "right")
        with gallery.database.writing() as connection:
            reviews.undo(connection, second)
        assert (len(waiting(gallery)), len(judged(gallery))) == (1, 1)
        person_file(gallery, ANNA)
        with gallery.database.reading() as connection:
            assert decisions.newest_id(connection) == second
            assert [each.id for each in decisions.following(connection, first, 9)] == [second]
        merge(gallery, ANNA, BEN)
        gallery.erase_user(BEN)
    assert not found, "\n".join(found)
