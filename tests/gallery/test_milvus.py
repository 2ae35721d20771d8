"""Milvus beside the table: what one of them lost, the start mends."""

from __future__ import annotations

from pathlib import Path

import database_servers
import pytest
from people import enrol, near, real, whose
from pymilvus import MilvusClient

from face128.domain.model_card import DLIB
from face128.errors import DatabaseAway
from face128.gallery.gallery import Gallery

OBAMA, BIDEN = real("obama-2012.jpg"), real("biden-2010.jpg")


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
    enrol(Gallery(url, milvus), "44", [OBAMA, near(OBAMA, 0.1)])
    client = MilvusClient(uri=milvus)
    if damage == "collection lost":
        client.drop_collection(collection(client))
    elif damage == "row lost":
        client.delete(collection(client), ids=[1])
    else:
        client.upsert(collection(client), [{"id": 999, "vector": BIDEN}])
    gallery = Gallery(url, milvus)
    assert whose(gallery, OBAMA) == "44"
    assert gallery.sizes() == {"dlib-resnet-v1": 2}


def test_what_was_changed_while_milvus_was_not_asked_is_caught_up(url: str, milvus: str) -> None:
    with_milvus = Gallery(url, milvus)
    enrol(with_milvus, "44", OBAMA)
    without = Gallery(url)  # as the command line does, where it is not told of Milvus
    enrol(without, "46", BIDEN)
    without.erase_user("44")
    assert whose(with_milvus, BIDEN) == "46"
    assert whose(with_milvus, OBAMA) is None
    assert with_milvus.sizes() == {"dlib-resnet-v1": 1}


def test_a_new_gallery_never_meets_the_vectors_of_an_older_one(tmp_path: Path, milvus: str) -> None:
    enrol(Gallery(f"sqlite:///{tmp_path}/old.sqlite", milvus), "44", OBAMA)
    new = Gallery(f"sqlite:///{tmp_path}/new.sqlite", milvus)
    assert new.search(OBAMA, DLIB, 5) == []
    assert whose(new, OBAMA) is None


def test_milvus_away_is_told_like_a_database_that_is_away(url: str) -> None:
    with pytest.raises(DatabaseAway, match="Milvus"):
        Gallery(url, "http://127.0.0.1:9")
