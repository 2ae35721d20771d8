"""What Milvus loses while services run: found, named and mended; and a Milvus that hangs or is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import database_servers
import numpy as np
import pytest
from liveness import until
from people import at_distance, enrol, matched_reg_no, photo_descriptor, synthetic
from pymilvus import MilvusClient

from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import ConfigurationError, DatabaseUnavailable
from face128.events import Listener, listener, set_listener
from face128.gallery.gallery import Gallery
from face128.gallery.milvus import check as milvus_check
from face128.gallery.milvus import watch as milvus_watch
from face128.gallery.milvus.index import MilvusIndex
from face128.gallery.rows.records import NewFace, Person
from face128.settings import load_settings

OBAMA, BIDEN = photo_descriptor("obama-2012.jpg"), photo_descriptor("biden-2010.jpg")
ANSWERED_WITHIN_S = 5.0
BUSY_MACHINE_S = 15.0  # what a machine may add that does other things; a wait that is not bounded takes 30 and more


@pytest.fixture
def milvus(tmp_path: Path) -> str:
    database_servers.start_milvus(f"{tmp_path}/milvus.db")
    return f"{tmp_path}/milvus.db"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gallery.sqlite"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[database_servers.MilvusServer]:
    started = database_servers.MilvusServer(tmp_path / "milvus.db")
    yield started
    started.stop()


def collections(client: MilvusClient) -> list[str]:
    return [str(name) for name in client.list_collections()]


def check(gallery: Gallery) -> dict[str, int]:
    """Compare now, and tell what was mended since the start."""
    assert gallery._milvus is not None
    gallery._milvus.check.quick()
    state = gallery.milvus_state()
    assert state is not None
    assert state["checked_at"]
    assert not state["mending"]
    return dict(state["mended"])


def lose_row(client: MilvusClient) -> None:
    client.delete(collections(client)[0], ids=[1])


def lose_all(client: MilvusClient) -> None:
    client.drop_collection(collections(client)[0])


def add_stray(client: MilvusClient) -> None:
    client.upsert(collections(client)[0], [{"id": 999, "vector": BIDEN}])


def change_row(client: MilvusClient) -> None:
    client.upsert(collections(client)[0], [{"id": 1, "vector": at_distance(OBAMA, 0.9)}])


def lose_and_add(client: MilvusClient) -> None:
    """The numbers stay equal."""
    lose_row(client)
    add_stray(client)


@pytest.mark.parametrize(
    ("damage", "mended"),
    [
        (lose_row, {"lost": 1, "surplus": 0, "changed": 0}),
        (lose_all, {"lost": 3, "surplus": 0, "changed": 0}),
        (add_stray, {"lost": 0, "surplus": 1, "changed": 0}),
        (change_row, {"lost": 0, "surplus": 0, "changed": 1}),
        (lose_and_add, {"lost": 1, "surplus": 1, "changed": 0}),
    ],
)
def test_a_check_finds_names_and_mends(
    url: str, milvus: str, damage: Callable[[MilvusClient], None], mended: dict[str, int]
) -> None:
    gallery, other_worker = Gallery(url, milvus), Gallery(url, milvus)
    enrol(gallery, "44", [OBAMA, at_distance(OBAMA, 0.1)])
    enrol(gallery, "46", BIDEN)
    assert matched_reg_no(other_worker, OBAMA) == "44"
    assert check(gallery) == {"lost": 0, "surplus": 0, "changed": 0}
    damage(MilvusClient(uri=milvus))
    assert check(gallery) == mended
    for worker in (gallery, other_worker):
        assert matched_reg_no(worker, OBAMA) == "44"
        assert matched_reg_no(worker, BIDEN) == "46"
    client = MilvusClient(uri=milvus)
    ids, distances = MilvusIndex(client, collections(client)[0], "euclidean").search(OBAMA, 10)
    assert sorted(ids.tolist()) == [1, 2, 3]
    assert min(distances) == pytest.approx(0, abs=1e-3)
    assert check(other_worker) == {"lost": 0, "surplus": 0, "changed": 0}
    named = gallery.details()["milvus"]["last_mended"]["ids"]
    assert named == ([999] if mended["surplus"] else [1, 2, 3] if mended["lost"] == 3 else [1])


def test_what_is_only_behind_is_not_lost(url: str, milvus: str) -> None:
    gallery, without_milvus = Gallery(url, milvus), Gallery(url)
    enrol(gallery, "44", OBAMA)
    enrol(without_milvus, "46", BIDEN)
    without_milvus.erase_user("44")
    assert check(gallery) == {"lost": 0, "surplus": 0, "changed": 0}
    assert matched_reg_no(gallery, BIDEN) == "46"


def test_a_running_service_looks_by_itself_and_tells(url: str, milvus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_watch, "CHECK_INTERVAL_S", 0.3)
    monkeypatch.setattr(milvus_watch, "TICK_S", 0.05)
    told: list[tuple[str, int]] = []
    with listening(lambda what, vectors: told.append((what, vectors))):
        gallery = Gallery(url, milvus)
        gallery.follow_erasures()
        try:
            enrol(gallery, "44", OBAMA)
            assert matched_reg_no(gallery, OBAMA) == "44"
            lose_row(MilvusClient(uri=milvus))
            assert matched_reg_no(gallery, OBAMA) in (None, "44")  # the check may have been faster
            until(lambda: matched_reg_no(gallery, OBAMA) == "44")
            until(lambda: told == [("lost", 1)])
            assert gallery.details()["milvus"]["last_mended"]["ids"] == [1]
        finally:
            gallery.close()


@contextmanager
def listening(heard: Callable[[str, int], None]) -> Iterator[None]:
    class Ear(Listener):
        def index_mended(self, what: str, vectors: int) -> None:
            heard(what, vectors)

    before = listener()
    set_listener(Ear())
    try:
        yield
    finally:
        set_listener(before)


def test_others_write_while_milvus_is_compared_and_between_the_blocks_that_are_mended(
    url: str, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_check, "BLOCK_ROWS", 2)
    gallery, other = Gallery(url, milvus), Gallery(url, milvus)
    for number, vector in enumerate(synthetic(6)):
        enrol(gallery, f"p{number}", vector, force=True)
    other.load()
    lose_all(MilvusClient(uri=milvus))
    written: list[str] = []

    def write_first(method: str, owner: type) -> None:
        real = getattr(owner, method)

        def wrapped(*arguments: object) -> object:
            written.append(method)
            enrol(other, f"{method}{len(written)}", synthetic(20)[10 + len(written)], force=True)
            return real(*arguments)

        monkeypatch.setattr(owner, method, wrapped)

    write_first("_compared_ids", milvus_check.MilvusCheck)
    write_first("_note", milvus_check.MilvusCheck)
    check(gallery)
    assert written[0] == "_compared_ids"
    assert written.count("_note") >= 3  # one for each block
    assert gallery.sizes() == {DLIB.name: 6 + len(written)}


def test_a_rebuild_does_not_take_away_what_others_search(
    url: str, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, other = Gallery(url, milvus), Gallery(url, milvus)
    enrol(gallery, "44", OBAMA)
    client = MilvusClient(uri=milvus)
    (before,) = collections(client)
    assert matched_reg_no(other, OBAMA) == "44"
    assert gallery._milvus is not None
    real = gallery._milvus.collections.switch

    def others_first(*arguments: Any) -> None:  # inside the writer lock
        assert matched_reg_no(other, OBAMA) == "44"
        real(*arguments)
        assert matched_reg_no(other, OBAMA) == "44"

    def while_filled(_: str) -> None:
        enrol(other, "46", BIDEN)

    monkeypatch.setattr(gallery._milvus.collections, "switch", others_first)
    monkeypatch.setattr(gallery._milvus.collections, "flush_name", while_filled)
    assert gallery.rebuild() == 1
    assert collections(client) != [before]
    assert len(collections(client)) == 1
    for worker in (gallery, other, Gallery(url, milvus)):
        assert (matched_reg_no(worker, OBAMA), matched_reg_no(worker, BIDEN)) == ("44", "46")
        assert worker.sizes() == {DLIB.name: 2}
    assert check(gallery) == {"lost": 0, "surplus": 0, "changed": 0}


def test_the_collection_of_an_earlier_version_is_taken_over(url: str, milvus: str) -> None:
    gallery = Gallery(url, milvus)
    enrol(gallery, "44", OBAMA)
    client = MilvusClient(uri=milvus)
    (name,) = collections(client)
    older = name.rpartition("_g")[0]
    client.drop_alias(f"{older}_now")
    client.rename_collection(name, older)
    again = Gallery(url, milvus)
    assert matched_reg_no(again, OBAMA) == "44"
    assert collections(client) == [older]
    assert again.milvus_state()["mended"] == {"lost": 0, "surplus": 0, "changed": 0}  # type: ignore[index]


@pytest.mark.parametrize("index", ["HNSW", "IVF_FLAT"])
def test_another_index_proposes_candidates_that_are_ranked_by_the_rows(url: str, milvus: str, index: str) -> None:
    people = synthetic(200, seed=5)
    with_flat = Gallery(url, milvus)
    enrol(with_flat, "first", people[:100], force=True)
    gallery = Gallery(url, milvus, milvus_index=index)
    enrol(gallery, "second", people[100:], force=True)
    client = MilvusClient(uri=milvus)
    assert len(collections(client)) == 1
    assert client.describe_index(collections(client)[0], "vector")["index_type"] == index
    reference = Gallery(url)
    for vector in people[::20]:
        probe = Probe.of(DLIB, at_distance(vector, 0.05))
        expected = [(hit.record.id, hit.distance) for hit in reference.search(probe, 1)]
        for worker in (gallery, with_flat):
            assert [(hit.record.id, hit.distance) for hit in worker.search(probe, 1)] == expected
    assert gallery.milvus_state()["index"] == index  # type: ignore[index]


def test_an_index_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_MILVUS_INDEX", "DISKANN")
    with pytest.raises(ConfigurationError, match="FACE128_MILVUS_INDEX"):
        load_settings()


def test_a_load_is_flushed(url: str, milvus: str) -> None:
    gallery = Gallery(url, milvus)
    enrol(gallery, "few", synthetic(1)[0])
    assert not list(Path(milvus).rglob("*.parquet"))  # what milvus-lite has not flushed lies in its log
    Gallery(url).load()
    enrol(Gallery(url), "many", synthetic(600, seed=1), force=True)
    gallery._milvus._flushed_at = -100  # type: ignore[union-attr]  # the last flush is not a moment ago
    gallery.load()
    assert list(Path(milvus).rglob("*.parquet"))


def test_a_milvus_that_hangs_or_ends_holds_nobody_and_may_come_back(
    url: str, server: database_servers.MilvusServer
) -> None:
    gallery = Gallery(url, server.uri, hurried=True)
    enrol(gallery, "44", OBAMA)
    assert matched_reg_no(gallery, OBAMA) == "44"
    with server.frozen():
        start = time.monotonic()
        for call in (lambda: matched_reg_no(gallery, OBAMA), gallery.check):
            with pytest.raises(DatabaseUnavailable, match="Milvus"):
                call()
        assert time.monotonic() - start < 2 * (ANSWERED_WITHIN_S + BUSY_MACHINE_S)
        start = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="Milvus"):  # the row is stored; Milvus follows later
            enrol(gallery, "46", BIDEN, force=True)
        other = Gallery(url)
        enrol(other, "47", at_distance(BIDEN, 0.9), force=True)  # the writer lock is free
        assert time.monotonic() - start < 2 * (ANSWERED_WITHIN_S + BUSY_MACHINE_S)
    until(lambda: ask(gallery, BIDEN) == "46")
    assert gallery.sizes() == {DLIB.name: 3}
    server.stop()
    with pytest.raises(DatabaseUnavailable, match="Milvus"):
        matched_reg_no(gallery, OBAMA)
    server.start()
    until(lambda: ask(gallery, OBAMA) == "44")
    enrol(gallery, "48", synthetic(1)[0], force=True)
    assert gallery.sizes() == {DLIB.name: 4}
    assert check(gallery) == {"lost": 0, "surplus": 0, "changed": 0}


def ask(gallery: Gallery, descriptor: np.ndarray) -> object:
    try:
        return matched_reg_no(gallery, descriptor)
    except DatabaseUnavailable:
        return None


def test_a_surplus_vector_of_one_model_leaves_the_other_models_alone(url: str, milvus: str) -> None:
    """The id is that of a face, which has a vector of another model."""
    gallery = Gallery(url, milvus)
    random = np.random.default_rng(3)
    second = {RETAIL.name: random.normal(0, 1, RETAIL.dimension).astype(np.float32)}
    gallery.enrol(Person("A", "44"), [NewFace(OBAMA, b"1", companions=second)], DLIB)
    enrol(gallery, "46", BIDEN)  # by one model
    client = MilvusClient(uri=milvus)
    (of_retail,) = [name for name in collections(client) if "retail_0095_g" in name and "dlib" not in name]
    stored = client.get(of_retail, ids=[1], output_fields=["vector"])[0]["vector"]
    client.upsert(of_retail, [{"id": 2, "vector": stored}])
    assert check(gallery) == {"lost": 0, "surplus": 1, "changed": 0}
    assert matched_reg_no(gallery, BIDEN) == "46"
    assert check(gallery) == {"lost": 0, "surplus": 1, "changed": 0}
