"""The cohort rule in the gallery decides as for a posted list, after any changes, in every worker process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fake_photos import create_record, fake_photo
from people import add_record, at_distance, enrol, photo_descriptor, space_search, synthetic
from serving import serving

from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.descriptors import distances
from face128.domain.model_card import DLIB, FACEAPI
from face128.domain.probe import Probe
from face128.engines.fake import FAKE
from face128.errors import NotReady, TooFewMembers, TooLarge
from face128.gallery.cohort import cohort_follower
from face128.gallery.cohort.cohort_snapshot import CohortSnapshot
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.search.index_sync import FaissIndexSync
from face128.gallery.storage.tables import faces
from face128.match_body import parser
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import Cohort, CohortScore
from face128.matching.decision import decide
from face128.matching.tails import serving_tail

OBAMA, BIDEN = photo_descriptor("obama-2012.jpg"), photo_descriptor("biden-2010.jpg")
COHORT = Rule("cohort", 0.05)
Open = Callable[[], Gallery]


def cohort_score(gallery: Gallery, probe: Any, rule: Rule = THRESHOLD) -> CohortScore | None:
    return gallery.match(Probe.of(DLIB, probe), rule=rule, explain=True).cohort_score


def recomputed(gallery: Gallery, probe: Any, rule: Rule = THRESHOLD) -> CohortScore | None:
    """The score computed from all rows of the table."""
    with gallery.database.reading() as connection:
        rows = connection.execute(sa.select(faces.c.embedding, faces.c.user_id, faces.c.name, faces.c.record_id)).all()
    records = {row.name for row in rows if row.record_id == row.user_id}
    people = [f"name {row.name}" if row.name in records else f"user {row.user_id}" for row in rows]
    vectors = np.array([np.frombuffer(row.embedding, "<f4") for row in rows]).reshape(-1, 128)
    cohort = Cohort.of(vectors, np.unique(people, return_inverse=True)[1], "euclidean")
    every, length = distances(vectors, probe, "euclidean"), float(descriptor_lengths(probe[None], "euclidean")[0])
    return cohort.score(np.arange(len(rows)), every, length, serving_tail(rule, cohort.member_count))


def change_and_compare(workers: list[Gallery], changes: int, every: int) -> set[Any]:
    """Changes by all workers in turn: users, more photos, new names, records, deletions. Compare all scores.

    Returns the tails that computed them.
    """
    random, new = np.random.default_rng(changes), iter(synthetic(changes, changes))
    enrolled: dict[str, Any] = {}  # a user's first descriptor; None for a record
    tails = set()
    for step in range(changes):
        worker, kind, name = workers[random.integers(len(workers))], random.random(), f"Name {random.integers(300)}"
        if enrolled and kind < (0.35, 0.5)[step // 200 % 2]:
            user = str(random.choice(list(enrolled)))
            del enrolled[user]
            worker.erase_user(user)
        elif enrolled and kind > 0.85:
            user = str(random.choice([name for name, vector in enrolled.items() if vector is not None] or [f"u{step}"]))
            first = enrolled.setdefault(user, next(new))
            enrol(worker, user, at_distance(first, float(random.uniform(0.05, 0.3))), name, force=True)
        elif kind > 0.75:
            enrolled[add_record(worker, name, next(new), force=True).id] = None
        else:
            enrolled[f"u{step}"] = next(new)
            enrol(worker, f"u{step}", enrolled[f"u{step}"], name, force=True)
        if step % every == every - 1:
            probe = synthetic(1, step)[0].astype(np.float64)
            for rule in (Rule(tail="exact"), Rule(tail="estimate")):
                wanted = recomputed(worker, probe, rule)
                assert [cohort_score(each, probe, rule) for each in workers] == [wanted] * len(workers)
                tails.add(wanted and wanted.tail)
    assert len(enrolled) > 5
    return tails - {None}


@pytest.fixture
def workers(open_gallery: Open) -> list[Gallery]:
    return [open_gallery(), open_gallery()]


def test_scores_that_follow_changes_are_those_computed_anew_on_every_database(workers: list[Gallery]) -> None:
    assert "exact" in change_and_compare(workers, 80, every=4)


def test_after_two_thousand_enrolments_and_deletions_two_workers_find_the_scores_computed_anew(tmp_path: Path) -> None:
    two = [Gallery(f"sqlite:///{tmp_path}/gallery.sqlite") for _ in range(2)]
    assert change_and_compare(two, 2000, every=40) == {"exact", "estimate"}
    for worker in two:
        worker.close()


def test_the_gallery_decides_as_for_a_posted_list_to_the_last_bit(gallery: Gallery) -> None:
    people = synthetic(120)
    for index, descriptor in enumerate(people):
        enrol(gallery, str(index), descriptor, f"Person {index}", force=True)
    members = [{"regNo": str(i), "name": f"Person {i}", "descriptor": row.tolist()} for i, row in enumerate(people)]
    random = np.random.default_rng(2)
    everybody = np.linalg.norm(people[:, None] - people, axis=2) + 9 * np.eye(120)
    alike = np.argwhere(everybody < np.partition(everybody, 6, axis=None)[6])
    probes = [
        *(people[:6] + random.normal(0, 0.02, (6, 128))),
        *(people[6:10] + random.normal(0, 0.045, (4, 128))),
        *people[alike].mean(axis=1).astype(np.float64),  # between two members
        *synthetic(6, seed=9).astype(np.float64),
    ]
    request = parser.parse(json.dumps({"descriptor": people[0].tolist(), "enrolled": members}).encode())
    rules = [
        Rule("cohort", 0.02),  # 2 / alpha members: exact
        Rule("cohort", 0.1, review_alpha=0.9),
        Rule("cohort", 0.01, review_alpha=0.9),  # an estimate
        Rule("threshold", review_alpha=0.9),
    ]
    outcomes, tails = set(), set()
    for probe in probes:
        by_threshold = [(one.record.id, one.distance) for one in gallery.search(Probe.of(DLIB, probe), 3)]
        for rule in rules:
            posted = decide(replace(request, probe=Probe.of(DLIB, probe), rule=rule), explain=True)
            assert gallery.match(Probe.of(DLIB, probe), rule=rule, explain=True) == posted
            decided = gallery.match(Probe.of(DLIB, probe), rule=rule)
            assert (decided.answer(), decided.runner_up) == (posted.answer(), posted.runner_up)
            if rule.name == "cohort":
                assert decided.verdict == posted.verdict
            recognised, best, found = gallery.recognise(Probe.of(DLIB, probe), 3, rule=rule, explain=True)
            assert (recognised, best) == (posted, found[0])
            assert gallery.recognise(Probe.of(DLIB, probe), 0, rule=rule)[0].matched == posted.matched
            assert [(one.record.id, one.distance) for one in found] == by_threshold
            outcomes.add((rule.name, posted.verdict))
            tails.add(posted.cohort_score and posted.cohort_score.tail)
        asked = replace(request, probe=Probe.of(DLIB, probe))
        assert gallery.match(asked.probe, explain=True) == decide(asked, explain=True)
    assert outcomes == {(rule, verdict) for rule in ("cohort", "threshold") for verdict in ("yes", "look_again", "no")}
    assert tails == {"exact", "estimate"}


def test_faces_of_models_that_may_meet_are_one_crowd_and_others_none(gallery: Gallery) -> None:
    for index, descriptor in enumerate(synthetic(21)):
        card = (DLIB, FACEAPI, FAKE)[index % 3]
        gallery.enrol(Person(None, str(index)), [NewFace(descriptor, descriptor.tobytes())], card, force=True)
    assert cohort_score(gallery, OBAMA) is not None
    with pytest.raises(TooFewMembers) as error:
        gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT)
    assert error.value.context == {"members": 14, "members_needed": 19}
    with pytest.raises(TooFewMembers) as error:
        gallery.match(Probe.of(FAKE, OBAMA), rule=COHORT)
    assert error.value.context["members"] == 7


def test_several_faces_of_a_person_are_one_member(gallery: Gallery) -> None:
    for index, descriptor in enumerate(synthetic(18)):
        enrol(gallery, str(index), [descriptor, at_distance(descriptor, 0.1)], f"Person {index}", force=True)
    add_record(gallery, "Person 3", BIDEN, force=True)
    with pytest.raises(TooFewMembers) as error:
        gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT)
    assert error.value.context["members"] == 18
    enrol(gallery, "3", synthetic(18)[3], "Another name", force=True)  # now the record is another person's
    assert gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT).cohort_score is not None


def test_a_transaction_older_than_the_cohort_gets_no_score(gallery: Gallery) -> None:
    """Another thread may have followed a change that this transaction does not see."""
    for index, descriptor in enumerate(synthetic(20)):
        enrol(gallery, str(index), descriptor, force=True)
    assert cohort_score(gallery, OBAMA) is not None
    with gallery.database.reading() as connection:
        probe = OBAMA.astype(np.float64)
        assert space_search(gallery).cohort("nearest").score(connection, probe, COHORT, None) is not None
        enrol(gallery, "100", OBAMA, force=True)
        gallery.load()
        assert space_search(gallery).cohort("nearest").score(connection, probe, COHORT, None) is None


def test_no_more_faces_than_can_be_compared(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_follower, "MAX_COHORT_FACES", 30)
    for index, descriptor in enumerate(synthetic(31)):
        enrol(gallery, str(index), descriptor, force=True)
    with pytest.raises(TooLarge):
        gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT)
    explained = gallery.match(Probe.of(DLIB, OBAMA), explain=True)
    assert (explained.cohort_score, explained.nearest) == (None, gallery.match(Probe.of(DLIB, OBAMA)).nearest)
    gallery.erase_user("3")
    assert gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT).cohort_score is not None


def test_what_takes_too_long_is_not_waited_for(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, descriptor in enumerate(synthetic(3000)[:40]):
        enrol(gallery, str(index), descriptor, force=True)
    monkeypatch.setattr(cohort_follower, "BUILD_TIMEOUT_S", 0.0)
    with pytest.raises(NotReady):
        gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT)
    while not gallery.build_cohorts(1.0):
        pass
    assert gallery.match(Probe.of(DLIB, OBAMA), rule=COHORT).cohort_score is not None
    # One more face makes too many pairs: all are compared anew.
    monkeypatch.setattr(cohort_follower, "MAX_UPDATE_PAIRS", 10)
    enrol(gallery, "100", OBAMA, force=True)
    monkeypatch.setattr(cohort_follower, "BUILD_TIMEOUT_S", 30.0)
    assert cohort_score(gallery, OBAMA) == recomputed(gallery, OBAMA)
    gallery.rebuild()
    assert cohort_score(gallery, BIDEN) == recomputed(gallery, BIDEN)


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving(workers=2, FACE128_ENGINES="fake", FACE128_DECISION="cohort", FACE128_ALPHA="0.05") as client:
        yield client


def test_over_http_each_endpoint_obeys_the_rule_of_the_settings(service: httpx.Client) -> None:
    def ask(path: str, **sent: Any) -> httpx.Response:
        deadline = time.monotonic() + 60
        while True:
            answer = httpx.post(f"{service.base_url}{path}", timeout=60, **sent)  # either worker's connection
            if answer.status_code != 503:  # its members may still be compared
                return answer
            assert answer.json()["code"] == "not_ready"
            assert time.monotonic() < deadline
            time.sleep(0.1)

    few = ask("/match_face", files={"image": fake_photo(1)})
    assert (few.status_code, few.json()["code"], few.json()["status"]) == (422, "too_few_members", "access_denied")
    assert few.json()["members_needed"] == 19
    identifiers = {
        seed: create_record(service, fake_photo(seed), f"Person {seed}").json()["record"]["id"] for seed in range(1, 21)
    }
    # With 39 members it would be recognised.
    assert ask("/records/match", files={"image": fake_photo(1)}).json()["recognized"] is False
    for seed in range(21, 60):
        identifiers[seed] = create_record(service, fake_photo(seed), f"Person {seed}").json()["record"]["id"]
    for seed in (7, 30, 59):
        image = fake_photo(seed)
        assert ask("/match_face", files={"image": image}).json()["user_id"] == identifiers[seed]
        found = ask("/records/match", files={"image": image}).json()
        assert (found["recognized"], found["best_match"]["id"]) == (True, identifiers[seed])
    stranger = fake_photo(1000)
    assert ask("/match_face", files={"image": stranger}).json() == {"status": "access_denied"}
    assert ask("/records/match", files={"image": stranger}).json()["recognized"] is False
    assert service.delete(f"/records/{identifiers[30]}").status_code == 200
    for _ in range(6):
        assert ask("/match_face", files={"image": fake_photo(30)}).json() == {"status": "access_denied"}


def test_match_without_a_list_obeys_the_rule_of_the_body_and_explains_either(tmp_path: Path) -> None:
    url, people = f"sqlite:///{tmp_path}/gallery.sqlite", synthetic(40)
    gallery = Gallery(url)
    for index, descriptor in enumerate(people):
        enrol(gallery, str(index), descriptor, force=True)
    probe = people[7].astype(np.float64) + 0.01
    wanted = recomputed(gallery, probe, COHORT)
    gallery.close()
    assert wanted is not None
    assert wanted.tail == "exact"
    with serving(workers=2, FACE128_ENGINES="fake", FACE128_DATABASE_URL=url, FACE128_ALPHA="0.05") as client:

        def ask(query: str = "", **more: Any) -> Any:
            body = {"descriptor": probe.tolist(), **more}
            return httpx.post(f"{client.base_url}/match{query}", json=body, timeout=60).json()

        for decision in ({"rule": "cohort"}, {"rule": "threshold"}):
            assert ask(decision=decision) == {"regNo": "7", "name": "Somebody"}
            answer = ask("?explain=true", decision=decision)
            assert (answer["score"], answer["stranger_risk"]) == (wanted.score, wanted.stranger_risk)
            assert answer["threshold"] == (0.6 if decision["rule"] == "cohort" else 0.38)
            alpha = {"alpha": 0.05} if decision["rule"] == "cohort" else {}
            assert answer["decision"] == {**decision, **alpha, "tail": "exact"}
            assert "verdict" not in answer
        few = ask(decision={"rule": "cohort", "alpha": 0.001, "tail": "exact"})
        assert (few["code"], few["members"], few["members_needed"]) == ("too_few_members", 40, 999)
        assert ask(decision={"rule": "cohort", "alpha": 0.001}) == {"regNo": "7", "name": "Somebody"}


def test_the_nearest_faces_decide_as_all_faces_do(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    people = synthetic(150)
    for index, descriptor in enumerate(people):
        enrol(gallery, str(index), descriptor, force=True)
    probes = [*(people[:20] + np.random.default_rng(3).normal(0, 0.02, (20, 128))), *synthetic(20, 9)]
    wanted = [recomputed(gallery, probe, COHORT) for probe in probes]
    explained = [gallery.match(Probe.of(DLIB, probe), rule=COHORT, explain=True) for probe in probes]
    assert [each.cohort_score for each in explained] == wanted
    index = space_search(gallery).index
    if not isinstance(index, FaissIndexSync):  # Milvus does not say at which version it is
        return
    monkeypatch.setattr(CohortSnapshot, "_score_from_all", lambda *_: pytest.fail("it compared all"))
    for few in (4000, 60):  # with 60 what is known of a stranger is a bound
        monkeypatch.setattr("face128.matching.conformal.MAX_SCANNED_ROWS", few)
        for probe, whole in zip(probes, explained, strict=True):
            decided = gallery.match(Probe.of(DLIB, probe), rule=COHORT)
            assert (decided.answer(), decided.runner_up) == (whole.answer(), whole.runner_up)
            if few > 60 or whole.matched:
                assert decided == whole
    assert {each.matched for each in explained} == {True, False}
    for probe in probes:
        estimate = gallery.match(Probe.of(DLIB, probe), rule=replace(COHORT, tail="estimate")).cohort_score
        assert estimate == recomputed(gallery, probe, replace(COHORT, tail="estimate"))
    many = gallery.recognise(Probe.of(DLIB, probes[0]), 100, rule=COHORT)[2]
    assert [found.record.id for found in many] == [f.record.id for f in gallery.search(Probe.of(DLIB, probes[0]), 100)]
    assert index.search_at(-1, OBAMA, 1) is None
