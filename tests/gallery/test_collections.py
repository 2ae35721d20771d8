"""Each collection is as a gallery of its own: the same deeds in one database and in one for each, compared."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import sqlalchemy as sa
from encrypted_galleries import in_folder
from people import (
    add_record,
    at_distance,
    enrol,
    import_document,
    matched_reg_no,
    photo_descriptor,
    space_search,
    synthetic,
)

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import Duplicate, Face128Error, InvalidRequest, NotFound
from face128.gallery.cohort import cohort_follower
from face128.gallery.gallery import Gallery
from face128.gallery.rows.person_lookup import look_up
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.space_rows import has_companions
from face128.gallery.storage.tables import faces
from face128.gallery.transfer.exporting import export_members, statistics

OBAMA, OBAMA_TOO, BIDEN = map(photo_descriptor, ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"))
NAMES = ("", "site-a", "Site-A", "x.y_z-9")
STEPS = 40


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")  # a record's id is random


def outcome(deed: Callable[[], Any]) -> Any:
    """What the deed answers, or how it is refused: whom a Duplicate names is part of it."""
    try:
        return deed()
    except Face128Error as error:
        named = {name: error.context.get(name) for name in ("user_id", "name", "index")}
        return UUID.sub("id", f"{type(error).__name__} {error} {named}")


def enrolled(gallery: Gallery, user_id: str, photos: list[int], pool: np.ndarray, **options: Any) -> Any:
    """Enrol photos of the pool; every third one has a descriptor by a second network."""
    new = []
    for photo in photos:
        second = np.random.default_rng(photo).normal(size=256).astype(np.float32)
        companions = {RETAIL.name: second} if photo % 3 == 0 else {}
        new.append(NewFace(pool[photo], pool[photo].tobytes(), {"photo": photo}, companions=companions))
    stored = gallery.enrol(Person(f"Name {user_id}", user_id), new, DLIB, **options)
    return sorted(record.metadata["photo"] for record in stored)


def do(gallery: Gallery, kind: int, user: str, photos: list[int], pool: np.ndarray, options: dict[str, Any]) -> Any:
    if kind == 0:
        return len(gallery.erase_user(user).records)
    if kind == 1:
        return add_record(gallery, f"Name {user}", pool[photos[0]], force=True).person.name
    return enrolled(gallery, user, photos, pool, **options)


def seen(gallery: Gallery, pool: np.ndarray) -> str:
    """Everything that a gallery tells, without ids and times."""
    total, records = gallery.page(0, 1000)
    facts = [(r.person.user_id, r.person.name, r.metadata, r.descriptor.tolist(), r.companions) for r in records]
    probes = [Probe.of(DLIB, vector) for vector in (pool[0], at_distance(pool[3], 0.2))]
    hits = [[(h.record.person.user_id, h.distance) for h in gallery.search(probe, 20)] for probe in probes]
    answers = [gallery.match(probe, explain=True).answer(explain=True) for probe in probes]
    verified = [outcome(lambda u=u: gallery.verify(u, probes[0]).distance) for u in ("1", "2", "3", "nobody")]
    looked = outcome(lambda: [record.metadata for record in look_up(gallery, "1").photos])
    counts = {name: value for name, value in statistics(gallery).items() if name not in ("oldest", "newest")}
    return UUID.sub(
        "id", repr((total, facts, hits, answers, verified, looked, counts, gallery.sizes().get(DLIB.name, 0)))
    )


def test_a_collection_is_as_a_gallery_of_its_own(open_gallery: Callable[..., Gallery], tmp_path: Path) -> None:
    live_together(open_gallery(template="mean"), open_gallery(template="mean"), tmp_path)


def test_so_is_a_collection_of_an_encrypted_gallery(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(place.open(template="mean")) as one, closing(place.open(template="mean")) as two:
        live_together(one, two, tmp_path)


def live_together(together: Gallery, other_worker: Gallery, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    pool = synthetic(24, seed=3)
    pool[12:] = pool[:12] + random.normal(0, 0.005, (12, 128)).astype(np.float32)  # second photos of the same
    alone = {
        name: Gallery(f"sqlite:///{tmp_path}/alone-{place}.db", template="mean") for place, name in enumerate(NAMES)
    }
    for step in range(STEPS):
        name = NAMES[random.integers(len(NAMES))]
        user, photos = str(random.integers(1, 9)), random.choice(24, random.integers(1, 3), replace=False).tolist()
        options = {"force": bool(random.integers(2)), "replace": bool(random.integers(4) == 0)}
        kind, worker = random.integers(5), (together, other_worker)[random.integers(2)]
        done = [
            outcome(partial(do, gallery, kind, user, photos, pool, options))
            for gallery in (worker.of_collection(name), alone[name])
        ]
        assert done[0] == done[1], (step, name)
        if step == STEPS // 2:
            for each, own in alone.items():
                assert seen(together.of_collection(each), pool) == seen(own, pool), each
    together.of_collection("site-a").rebuild()
    for each, own in alone.items():
        assert seen(other_worker.of_collection(each), pool) == seen(own, pool)
        own.close()


def test_the_cohort_of_a_collection_is_its_own_people(tmp_path: Path) -> None:
    with (
        closing(Gallery(f"sqlite:///{tmp_path}/g.db")) as together,
        closing(Gallery(f"sqlite:///{tmp_path}/a.db")) as own,
    ):
        site = together.of_collection("site")
        for index, vector in enumerate(synthetic(150, seed=1)):
            enrol(together, str(index), vector, force=True)
        for index, vector in enumerate(synthetic(120, seed=2)):
            for gallery in (site, own):
                enrol(gallery, str(index), vector, force=True)
        rule = Rule("cohort", 0.05)
        for probe in (OBAMA, synthetic(1, seed=2)[0], synthetic(1, seed=9)[0]):
            asked = Probe.of(DLIB, probe)
            assert site.match(asked, rule=rule, explain=True) == own.match(asked, rule=rule, explain=True)
            assert site.match(asked, rule=rule, explain=True) != together.match(asked, rule=rule, explain=True)


@pytest.mark.parametrize("template", ["nearest", "mean"])
def test_what_happens_in_another_collection_leaves_the_cohort_as_it_is(
    tmp_path: Path, template: Literal["nearest", "mean"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its graph is not built anew, which takes minutes, whatever is erased elsewhere."""
    monkeypatch.setattr(cohort_follower, "MAX_UPDATE_PAIRS", 500)  # five changes of this site
    with closing(Gallery(f"sqlite:///{tmp_path}/g.db", template=template)) as gallery:
        site, probe = gallery.of_collection("site"), Probe.of(DLIB, OBAMA)
        for index, vector in enumerate(synthetic(80, seed=1)):
            enrol(site, str(index // 2), vector, force=True)
            enrol(gallery, str(index // 2), vector, force=True)
        before = site.match(probe, explain=True)
        assert before.cohort_score is not None
        cohort = space_search(site).cohort(template)
        graph, snapshot = cohort._graph, cohort._snapshot
        assert graph is not None
        for user in range(20):
            gallery.erase_user(str(user))
        enrol(gallery, "new", OBAMA, force=True)
        assert site.match(probe, explain=True) == before
        assert cohort._graph is graph
        assert cohort._snapshot is snapshot
        site.erase_user("7")
        assert site.match(probe, explain=True) != before
        assert cohort._graph is graph  # changed, not built anew


def test_one_photo_and_one_id_in_two_collections_are_two_people(gallery: Gallery) -> None:
    one, two = gallery.of_collection("one"), gallery.of_collection("two")
    stored = [enrol(each, "44", OBAMA, name) for each, name in ((one, "Barack"), (two, "Obama"), (gallery, "Default"))]
    assert len({record.id for (record,) in stored}) == 3
    assert [each.match(Probe.of(DLIB, OBAMA)).nearest.name for each in (one, two, gallery)] == [
        "Barack",
        "Obama",
        "Default",
    ]  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        two.erase_record(stored[0][0].id)
    with pytest.raises(NotFound):
        two.record(stored[0][0].id)
    with pytest.raises(Duplicate) as refused:
        enrol(one, "45", OBAMA_TOO)
    assert refused.value.context["name"] == "Barack"
    enrol(two, "45", BIDEN)
    assert len(one.erase_user("44").records) == 1
    assert [matched_reg_no(each, OBAMA) for each in (one, two, gallery)] == [None, "44", "44"]
    with pytest.raises(NotFound):
        one.erase_user("45")
    assert gallery.collections() == {"": 1, "two": 2}
    assert (one.collections(), two.collections()) == ({"one": 0}, {"two": 2})


def test_an_export_of_one_collection_is_imported_into_another(gallery: Gallery) -> None:
    site = gallery.of_collection("site")
    enrol(gallery, "44", [OBAMA, OBAMA_TOO], "Barack Obama")
    record = add_record(gallery, "Joe Biden", BIDEN)
    exported = io.StringIO()
    export_members(gallery, exported)

    def imported(target: Gallery) -> int:
        return import_document(target, exported.getvalue()).new

    assert (imported(gallery), imported(site), imported(site)) == (0, 3, 0)
    ids = [{one.id for one in each.page(0, 10)[1]} for each in (gallery, site)]
    assert not ids[0] & ids[1]
    assert record.id in ids[0]
    (moved,) = (one for one in site.page(0, 10)[1] if one.person.name == "Joe Biden")
    assert moved.person.by_name  # its person is its name, as before
    assert matched_reg_no(site, OBAMA) == "44"
    gallery.erase_user("44")
    gallery.erase_record(record.id)
    assert gallery.page(0, 10) == (0, [])
    assert imported(gallery.of_collection("free")) == 3
    assert {one.id for one in gallery.of_collection("free").page(0, 10)[1]} == ids[0]  # the ids are free again


def test_more_collections_than_are_kept_open_lose_nothing(tmp_path: Path) -> None:
    people = synthetic(6)
    with closing(Gallery(f"sqlite:///{tmp_path}/g.db", max_open_collections=2)) as gallery:
        for turn in range(3):
            for index, vector in enumerate(people):
                site = gallery.of_collection(f"site-{index}")
                if not turn:
                    enrol(site, str(index), vector)
                assert matched_reg_no(site, vector) == str(index)
                assert matched_reg_no(site, people[index - 1]) is None
        assert len(gallery._others.all()) == 2


def test_what_is_erased_elsewhere_is_forgotten_in_the_open_collections(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/g.db"
    with closing(Gallery(url)) as one, closing(Gallery(url)) as two:
        site = one.of_collection("site")
        enrol(site, "44", OBAMA)
        assert matched_reg_no(site, OBAMA) == "44"
        assert site.sizes() == {DLIB.name: 1}
        two.of_collection("site").erase_user("44")
        one._eraser._forget()  # what its thread does each second
        assert site.sizes() == {DLIB.name: 0}


def test_what_another_collection_has_of_other_models_costs_a_collection_nothing(gallery: Gallery) -> None:
    enrolled(gallery.of_collection("site"), "1", [0], synthetic(1))
    with gallery.database.reading() as connection:
        assert not has_companions(connection)
    with gallery.of_collection("site").database.reading() as connection:
        assert has_companions(connection)


@pytest.mark.parametrize("name", ["a b", "x" * 65, "ä", "a/b", "a'b", "a\n", "%"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with closing(Gallery(f"sqlite:///{tmp_path}/g.db")) as gallery, pytest.raises(InvalidRequest):
        gallery.of_collection(name)


def test_rows_of_a_gallery_of_the_version_before_are_of_the_default_collection(database_url: str) -> None:
    with closing(Gallery(database_url)) as gallery:
        enrol(gallery, "44", OBAMA)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:  # as an older process writes them, which does not know the column
        columns = [column for column in faces.c if column.name not in ("id", "collection")]
        row = dict(connection.execute(sa.select(*columns)).mappings().one())
        row |= {"user_id": "45", "record_id": "other", "content_hash": "other", "version": 2}
        connection.execute(sa.insert(faces), [row])
        connection.execute(sa.text("UPDATE state SET version = 2"))
    engine.dispose()
    with closing(Gallery(database_url)) as gallery:
        assert [record.person.user_id for record in gallery.page(0, 10)[1]] == ["44", "45"]
        assert json.loads(json.dumps(gallery.collections())) == {"": 2}
