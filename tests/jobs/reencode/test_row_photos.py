"""face128 reencode --from-sql where the rows hold the photos themselves, with SQLite, MariaDB and PostgreSQL."""

from __future__ import annotations

import json
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import database_servers
import peak_memory
import pytest
import sqlalchemy as sa
from disks import small_disk
from forked_command import forked
from reencoding import crops, failed
from serving import environment, photo

from face128.errors import BadRequest
from face128.jobs.reencode.row_photos import RowPhotos

BINARY = {"sqlite": "BLOB", "mysql": "LONGBLOB", "postgresql": "BYTEA"}
QUERY = "SELECT code AS reg_no, who AS name, picture AS photo FROM people ORDER BY code"
SUPPORT = Path(peak_memory.__file__).parent


@pytest.fixture(params=list(BINARY))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database with an empty table of people."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/people.sqlite"
    else:
        server: database_servers.Server = request.getfixturevalue(
            {"mysql": "mariadb"}.get(request.param, request.param)
        )
        url = server.new_database()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE people (code INTEGER, who TEXT, picture {BINARY[request.param]})")
    yield engine
    engine.dispose()


def insert(engine: sa.Engine, *rows: tuple[int | None, str, bytes | None]) -> None:
    table = sa.table("people", sa.column("code"), sa.column("who"), sa.column("picture", sa.LargeBinary()))
    with engine.begin() as connection:
        connection.execute(table.insert(), [dict(zip(("code", "who", "picture"), row, strict=True)) for row in rows])


def reencode(engine: sa.Engine, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    url = engine.url.render_as_string(hide_password=False)
    command = ("reencode", "--from-sql", url, "--query", QUERY, "--out", "out.json", "--engine", "fake")
    return forked(folder, *command, *options)


def test_photos_in_the_rows_are_described_and_none_stays(engine: sa.Engine, tmp_path: Path) -> None:
    files = [path.read_bytes() for path in sorted(crops(tmp_path / "photos", 3).iterdir())]
    insert(engine, (1, "../../Ann", files[0]), (1, "../../Ann", files[1]), (2, "Bob", b""), (3, "Cem", None))
    insert(engine, (4, "Dan", b"no photo"), (None, "Eve", files[0]), (5, "/etc/passwd", files[0]))
    run = reencode(engine, tmp_path)
    assert run.returncode == 1, run.stderr
    members = {member["regNo"]: member for member in json.loads((tmp_path / "out.json").read_text())["enrolled"]}
    assert {reg_no: len(member.get("descriptors") or []) for reg_no, member in members.items()}[1] == 2
    assert members[5]["descriptor"] == members[1]["descriptors"][0]
    assert sorted(failed(tmp_path / "out.json").values()) == ["invalid_request", "not_found", "unsupported_format"]
    assert {path.name for path in tmp_path.iterdir()} <= {
        "photos", "people.sqlite", "out.json", *(f"out.{kind}" for kind in ("again.csv", "failed.csv", "poor.csv",
        "journal.jsonl")),
    }  # fmt: skip

    # A photo is known by its content, wherever its row is now.
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM people WHERE code IS NULL OR code IN (2, 3, 4)")
    insert(engine, (0, "Zoe", files[2]))
    run = reencode(engine, tmp_path)
    assert "1 encoded now, 0 failed, 3 from before" in run.stderr, run.stderr


def test_many_large_photos_take_no_more_memory_than_a_few(engine: sa.Engine, tmp_path: Path) -> None:
    """Each row has 4 MB: 120 MB together."""
    for number in range(30):
        insert(engine, (number, "Ann", number.to_bytes(4) + b"photo" * 800_000))
    query = "SELECT code AS reg_no, picture AS photo FROM people"
    code = f"""
from pathlib import Path
from peak_memory import status_bytes
from face128.jobs.reencode.members_database import MembersDatabase
from face128.jobs.reencode.row_photos import RowPhotos
database = MembersDatabase({engine.url.render_as_string(hide_password=False)!r})
with RowPhotos(Path("out.photos")) as photos:
    database.read_members("SELECT 1 AS id, 'a' AS photo", {{}}, Path(), photos.keep)
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    listing = database.read_members({query!r}, {{}}, Path(), photos.keep)
    assert [Path(each.source).stat().st_size for each in listing.photos] == [4_000_004] * 30, listing.rejected
print(status_bytes("VmHWM") - before)
"""
    variables = environment() | {"PYTHONPATH": str(SUPPORT)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 80 * 2**20
    assert not (tmp_path / "out.photos").exists()


def test_a_dry_run_leaves_nothing(engine: sa.Engine, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    insert(engine, (1, "Ann", photo("obama-2009.jpg")))
    run = reencode(engine, tmp_path, "--dry-run")
    assert "1 to encode" in run.stderr, run.stderr
    assert set(tmp_path.iterdir()) == before


def test_what_a_killed_run_left_is_gone_after_the_next_one(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.sqlite")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE people (code INTEGER, who TEXT, picture BLOB)")
    insert(engine, (1, "Ann", photo("obama-2009.jpg")), (2, "Bob", photo("obama-2010.jpg")))
    code = f"""
import os, signal
from pathlib import Path
from face128.jobs.reencode.members_database import MembersDatabase
from face128.jobs.reencode.row_photos import RowPhotos
with RowPhotos(Path("out.photos")) as photos:
    MembersDatabase({engine.url.render_as_string()!r}).read_members({QUERY!r}, {{}}, Path(), photos.keep)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), timeout=120)
    assert run.returncode == -signal.SIGKILL
    left = tmp_path / "out.photos"
    assert len(list(left.iterdir())) == 2
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in left.iterdir()} == {0o600}
    next(left.iterdir()).write_bytes(b"")  # as a power cut may leave it
    (left / "0123456789abcdef").write_bytes(photo("biden-2010.jpg"))  # of a person who is erased since
    run = reencode(engine, tmp_path)
    assert run.returncode == 0, run.stderr
    assert "2 encoded now, 0 failed, 0 from before" in run.stderr
    assert not left.exists()


def test_another_folder_of_that_name_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "out.photos"
    own.mkdir()
    (own / "holiday.jpg").write_bytes(b"mine")
    with RowPhotos(own):
        pass
    with pytest.raises(BadRequest, match=r"out\.photos"), RowPhotos(own) as photos:
        photos.keep(b"a photo")
    assert [path.name for path in own.iterdir()] == ["holiday.jpg"]
    link = tmp_path / "link.photos"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / f"{7:016x}").write_bytes(b"mine")
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadRequest), RowPhotos(link) as photos:
        photos.keep(b"a photo")
    assert (tmp_path / "elsewhere" / f"{7:016x}").exists()


def test_a_full_disk_is_one_sentence_and_no_photo_stays(tmp_path: Path) -> None:
    folder = tmp_path / "out.photos"
    with small_disk(tmp_path, 1):
        with pytest.raises(BadRequest, match="No space left"), RowPhotos(folder) as photos:
            _ = [photos.keep(bytes([number]) * 500_000) for number in range(3)]
        assert not folder.exists()


def test_rows_that_name_their_photos_need_no_folder(tmp_path: Path) -> None:
    crops(tmp_path / "photos", 1)
    (tmp_path / "out.photos").mkdir()
    (tmp_path / "out.photos" / "mine").touch()
    connection = sqlite3.connect(tmp_path / "people.sqlite")
    connection.close()
    query = "SELECT 1 AS reg_no, 'photos/0_Member 0.jpg' AS photo"
    url = f"sqlite:///{tmp_path}/people.sqlite"
    run = forked(tmp_path, "reencode", "--from-sql", url, "--query", query, "--out", "out.json", "--engine", "fake")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.photos" / "mine").exists()
