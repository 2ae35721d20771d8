"""Milvus and the table of faces: what Milvus has lost is repaired at the start."""

from __future__ import annotations

from pathlib import Path

import database_servers
import pytest
from people import at_distance, enrol, matched_reg_no, photo_descriptor
from pymilvus import MilvusClient

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import DatabaseUnavailable
from face128.gallery.gallery import Gallery

OBAMA, BIDEN = photo_descriptor("obama-2012.jpg"), photo_descriptor("biden-2010.jpg")


@pytest.fixture
def milvus(tmp_path: Path) -> str:
    database_servers.start_milvus(f"{tmp_path}/milvus.db")
    return f"{tmp_path}/milvus.db"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gallery.sqlite"


def collection(client: MilvusClient) -> str:
    return str(client.list_collections()[0])


@pytest.mark.parametrize("damage", ["collection lost", "row lost", "row too many"])
def test_a_start_makes_milvus_equal_to_the_table(url: str, milvus: str, damage: str) -> None:
    enrol(Gallery(url, milvus), "44", [OBAMA, at_distance(OBAMA, 0.1)])
    client = MilvusClient(uri=milvus)
    if damage == "collection lost":
        client.drop_collection(collection(client))
    elif damage == "row lost":
        client.delete(collection(client), ids=[1])
    else:
        client.upsert(collection(client), [{"id": 999, "vector": BIDEN}])
    gallery = Gallery(url, milvus)
    assert matched_reg_no(gallery, OBAMA) == "44"
    assert gallery.sizes() == {"dlib-resnet-v1": 2}


def test_changes_made_without_milvus_are_caught_up(url: str, milvus: str) -> None:
    with_milvus = Gallery(url, milvus)
    enrol(with_milvus, "44", OBAMA)
    without = Gallery(url)  # as the command line without the setting for Milvus
    enrol(without, "46", BIDEN)
    without.erase_user("44")
    assert matched_reg_no(with_milvus, BIDEN) == "46"
    assert matched_reg_no(with_milvus, OBAMA) is None
    assert with_milvus.sizes() == {"dlib-resnet-v1": 1}


def test_a_new_gallery_never_finds_the_vectors_of_an_older_one(tmp_path: Path, milvus: str) -> None:
    enrol(Gallery(f"sqlite:///{tmp_path}/old.sqlite", milvus), "44", OBAMA)
    new = Gallery(f"sqlite:///{tmp_path}/new.sqlite", milvus)
    assert new.search(Probe.of(DLIB, OBAMA), 5) == []
    assert matched_reg_no(new, OBAMA) is None


def test_an_unreachable_milvus_is_reported_like_an_unreachable_database(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="Milvus"):
        Gallery(url, "http://127.0.0.1:9")
