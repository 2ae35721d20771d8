"""Galleries of every version that was released are opened; those of later versions are left alone."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from command_line import face128
from liveness import until
from people import enrol, matched_reg_no, photo_descriptor
from serving import serving

from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.errors import GallerySchema
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.storage.schema import released_versions
from face128.gallery.storage.tables import faces
from face128.gallery.trail import decisions
from face128.gallery.trail.check import check
from face128.gallery.transfer.exporting import statistics

HOPPER = photo_descriptor("hopper-1984.jpg")

# A migration that has been released is never edited: it has run in galleries that nobody here sees. To change a table,
# add another one, its hash, and a file in released/ as sqlite3's .dump writes it.
RELEASED_MIGRATIONS = {
    "0001_faces.py": "350f4bcc83b820bc01c10298e929bd0c33ee04b6d0045825c9056e0ca94f94d2",
    "0002_photo_facts.py": "7f65b8ede33b086fc3690c866e515bad412e3958cc475860b9e92144d999ba8b",
    "0003_name_index.py": "b815501ca9f58ccfb664b9ec0468be24ae4d2366f38bfae41b34119c3ceff252",
    "0004_companions.py": "5823c2e6ebcfc0ec3b11e67ad9759cb5a5f9f1c0f94fc24a716415c854e51067",
    "0005_collections.py": "f0df7128a310033620f9465dbc61b175643f15bdeca5c76274229f3e6a3b4cc5",
    "0006_people.py": "3b3f0c7b208ac5fb5c19b7e7cc51c3ea7335deae94b925671d53991f5ec052e7",
    "0007_encryption.py": "2aa88a0c3feddec5d003dbccded69ce34506f0b745e0e8837282c0e99d07f710",
    "0008_trail.py": "5cbb4fece8d17061e058c0f8ccac6c028439198dade066453bb10a88f0db8503",
    "0009_console.py": "913518c2c42b7fe9da48a926b77d1eee2aaecd9c883651b47861ed401f0bf871",
}
RELEASED_GALLERIES = sorted((Path(__file__).parent / "released").glob("*.sql"))


def test_released_migrations_are_as_they_were() -> None:
    folder = files("face128.gallery.migrations.versions")
    found = {
        entry.name: hashlib.sha256(entry.read_bytes()).hexdigest()
        for entry in folder.iterdir()
        if entry.name[:1].isdigit()
    }
    assert found == RELEASED_MIGRATIONS
    assert [path.stem for path in RELEASED_GALLERIES] == released_versions()


@pytest.mark.parametrize("released", RELEASED_GALLERIES, ids=lambda path: path.stem)
def test_a_gallery_of_each_released_version_is_opened_and_keeps_everything(tmp_path: Path, released: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(released.read_text())
    gallery = Gallery(f"sqlite:///{path}")
    total, records = gallery.page(0, 10)
    assert (total, [record.person.name for record in records]) == (2, ["Barack Obama", "Grace Hopper"])
    assert matched_reg_no(gallery, photo_descriptor("obama-2012.jpg")) == "44"
    complete(gallery, records[0], 2)
    assert enrol(gallery, "46", photo_descriptor("biden-2010.jpg"), "Joe Biden")
    assert len(gallery.erase_user("44").records) == 1
    with gallery.database.reading() as connection:
        assert check(connection).faults == []
        assert decisions.page(connection, 10) == []  # they went with the person
    gallery.close()
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert version == released_versions()[-1]


def complete(gallery: Gallery, record: Record, photos: int) -> None:
    """Enrol a photo of an older version again: it gets the second network's descriptor."""
    vector, second = record.descriptor.astype(np.float32), np.linspace(-1, 1, 256, dtype=np.float32)
    face = NewFace(vector, vector.tobytes(), companions={RETAIL.name: second})
    assert [one.id for one in gallery.enrol(record.person, [face], DLIB, force=True)] == [record.id]
    found = statistics(gallery)
    assert (found["faces"], found["models"]) == (photos, {DLIB.name: photos, RETAIL.name: 1})


@pytest.mark.parametrize("released", RELEASED_GALLERIES, ids=lambda path: path.stem)
def test_each_database_is_brought_up_to_date_from_each_released_version(
    empty_database_url: str, released: Path
) -> None:
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(released.read_text())
        source.row_factory = sqlite3.Row
        rows = [dict(row) for row in source.execute("SELECT * FROM faces ORDER BY id")]
    engine = sa.create_engine(empty_database_url)
    config = Config()
    config.set_main_option("script_location", str(files("face128.gallery") / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, released.stem)
    with engine.begin() as connection:
        for row in rows:
            row |= {"created_at": datetime.fromisoformat(row["created_at"]), "is_number": bool(row["is_number"])}
            del row["id"]
            connection.execute(sa.insert(faces).values(row))
    engine.dispose()
    with closing(Gallery(empty_database_url)) as gallery:
        records = gallery.page(0, 10)[1]
        complete(gallery, records[0], 2)
        before = [record.photo_facts for record in records]
        assert before == [json.loads(row.get("photo_facts") or "{}") for row in rows]
        turned = NewFace(HOPPER, b"photo", photo_facts={"adjusted": {"turned": 90}, "unknown": {}})
        (record,) = gallery.enrol(Person("Grace", "45"), [turned], DLIB, force=True)
        assert record.photo_facts == {"adjusted": {"turned": 90}}
        assert [hit.record.photo_facts for hit in gallery.search(Probe.of(DLIB, HOPPER), 2)] == [{}, record.photo_facts]


def test_a_gallery_of_a_later_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    url = f"sqlite:///{path}"
    Gallery(url).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    listed = face128("gallery", "list", FACE128_DATABASE_URL=url)
    assert (listed.returncode, listed.stdout) == (2, "")
    assert "later version of face128" in listed.stderr
    assert "(gallery_schema)" in listed.stderr
    with serving(FACE128_ENGINES="fake", FACE128_DATABASE_URL=url, FACE128_READY_NEEDS_GALLERY="0") as client:
        assert client.get("/records").json()["code"] == "gallery_schema"
        until(lambda: client.get("/ready").json()["database"] != "not_ready")  # it may still be being opened
        assert client.get("/ready").json()["database"] == "schema"
    assert path.read_bytes() == before


def test_tables_of_another_program_are_refused_and_not_touched(empty_database_url: str) -> None:
    engine = sa.create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE faces (id INTEGER PRIMARY KEY, name VARCHAR(20))"))
        connection.execute(sa.text("INSERT INTO faces VALUES (1, 'John Doe')"))
    with pytest.raises(GallerySchema):
        Gallery(empty_database_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT * FROM faces")).all() == [(1, "John Doe")]
    engine.dispose()


def test_tables_that_vanish_under_a_running_gallery_are_named(database_url: str) -> None:
    gallery = Gallery(database_url)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        for table in ("companions", "thumbnails", "faces"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
    engine.dispose()
    with pytest.raises(GallerySchema):
        gallery.page(0, 10)
    gallery.close()
