"""face128 reencode --from-sql, with SQLite, MariaDB and PostgreSQL: the rows of a query, descriptors written back."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import database_servers
import pytest
import sqlalchemy as sa
from database_servers import Server
from forked_command import forked
from reencoding import crops, failed
from serving import environment

from face128.domain.descriptors import from_base64
from face128.jobs.reencode.descriptor_column import BATCH_MEMBERS

KILL_DEADLINE_S = 120


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path)
    server: Server = request.getfixturevalue(request.param)
    return server.new_database()


def new_sqlite(folder: Path) -> str:
    sqlite3.connect(folder / "members.sqlite").close()
    return f"sqlite:///{folder}/members.sqlite"


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execution_options(no_parameters=True).exec_driver_sql(statement)
    engine.dispose()


def column(url: str, table: str, key: str, name: str) -> dict[object, object]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.column(key), sa.column(name)).select_from(sa.table(table))).all()
    engine.dispose()
    return {row[0]: row[1] for row in rows}


def reencode(
    folder: Path, url: str, query: str, *options: str, out: str = "out.json"
) -> subprocess.CompletedProcess[str]:
    command = ("reencode", "--from-sql", url, "--query", query, "--photos", "photos", "--out", out, "--engine", "fake")
    return forked(folder, *command, *options)


def is_refused(run: subprocess.CompletedProcess[str]) -> bool:
    return run.returncode == 2 and run.stderr.count("\n") == 1 and run.stderr.startswith("face128: ")


MEMBERS = (
    "CREATE TABLE members (reg_no INTEGER PRIMARY KEY, name VARCHAR(40), photo_path VARCHAR(80), face TEXT)",
    """INSERT INTO members VALUES (1029, 'Zoë', '0_Member 0.jpg', NULL), (1030, 'Ann', NULL, 'old'),
    (1031, 'Bob', 'missing.jpg', 'old'), (1032, '50 % Cem', '1_Member 1.jpg', 'old')""",
)
QUERY = "SELECT reg_no, name, photo_path FROM members WHERE name LIKE '%' ORDER BY reg_no"


def test_rows_are_described_and_written_back_and_nothing_overwrites_a_descriptor(url: str, tmp_path: Path) -> None:
    crops(tmp_path / "photos", 3)
    execute(url, *MEMBERS)
    run = reencode(tmp_path, url, QUERY, "--write-back", "members.face")
    assert run.returncode == 1, run.stderr
    members = {member["regNo"]: member for member in json.loads((tmp_path / "out.json").read_text())["enrolled"]}
    assert [(member["regNo"], member["name"]) for member in members.values()] == [
        (1029, "Zoë"), (1031, "Bob"), (1032, "50 % Cem"), (1030, "Ann")
    ]  # fmt: skip
    assert failed(tmp_path / "out.json") == {"missing.jpg": "not_found", "": "not_found"}
    written = column(url, "members", "reg_no", "face")
    assert json.loads(str(written[1029])) == members[1029]["descriptor"]
    assert json.loads(str(written[1032])) == members[1032]["descriptor"]
    assert (written[1030], written[1031]) == ("old", "old")

    # The next run writes only what is new.
    execute(url, "UPDATE members SET face = 'seen' WHERE reg_no = 1029", "DELETE FROM members WHERE reg_no = 1032")
    execute(url, "INSERT INTO members VALUES (1033, 'Dan', '2_Member 2.jpg', NULL)")
    run = reencode(tmp_path, url, QUERY, "--write-back", "members.face", "--base64")
    assert "1 encoded now" in run.stderr
    written = column(url, "members", "reg_no", "face")
    assert len(from_base64(str(written[1033]))) == 128
    assert written[1029] != "seen"  # base64 is another form
    execute(url, "UPDATE members SET face = 'seen' WHERE reg_no = 1029")
    reencode(tmp_path, url, QUERY, "--write-back", "members.face", "--base64")
    assert column(url, "members", "reg_no", "face")[1029] == "seen"


KEYS = ("O'Brien", 'back\\slash "quoted"', "100%s %%", "007", "1); DROP TABLE members; --", "line\nbreak", "Zoë")


def test_a_file_of_updates_fits_the_table_whatever_its_names_and_keys_are(url: str, tmp_path: Path) -> None:
    crops(tmp_path / "photos", 1)
    engine = sa.create_engine(url)
    table = sa.Table(
        "order",
        sa.MetaData(),
        sa.Column("User id%", sa.String(80), primary_key=True),
        sa.Column("select", sa.Text),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"User id%": key, "select": "old"} for key in (*KEYS, "another")])
        names = connection.dialect.identifier_preparer
        quoted = [names.quote_identifier(name).replace("%%", "%") for name in ("User id%", "order")]
    engine.dispose()
    query = f"SELECT {quoted[0]}, '0_Member 0.jpg' AS photo FROM {quoted[1]} WHERE {quoted[0]} <> 'another'"
    options = ("--columns", "regNo=User id%", "--to", "sql", "--update", "order.select")
    run = reencode(tmp_path, url, query, *options, out="out.sql")
    assert run.returncode == 0, run.stderr
    assert set(column(url, "order", "User id%", "select").values()) == {"old"}
    run_script(url, tmp_path / "out.sql")
    updated = column(url, "order", "User id%", "select")
    assert updated.pop("another") == "old"
    assert updated.keys() == set(KEYS)
    assert {len(json.loads(str(text))) for text in updated.values()} == {128}


@pytest.mark.parametrize("kind", ["VARCHAR(9)", "INTEGER"])
@pytest.mark.parametrize("reg_no", ["7", "'7'"])
def test_a_key_of_another_type_finds_its_row_and_no_other(url: str, tmp_path: Path, kind: str, reg_no: str) -> None:
    crops(tmp_path / "photos", 1)
    execute(url, f"CREATE TABLE people (code {kind} PRIMARY KEY, face TEXT)", "INSERT INTO people (code) VALUES ('7')")
    others = "('07'), ('7a'), ('7.0')" if kind != "INTEGER" else "(0), (70)"
    execute(url, f"INSERT INTO people (code) VALUES {others}")
    query = f"SELECT {reg_no} AS code, '0_Member 0.jpg' AS photo"
    columns = ("--columns", "regNo=code", "--write-back", "people.face", "--to", "sql", "--update", "people.face")
    run = reencode(tmp_path, url, query, *columns, out="out.sql")
    assert run.returncode == 0, run.stderr
    for _ in range(2):
        updated = [code for code, face in column(url, "people", "code", "face").items() if face is not None]
        assert list(map(str, updated)) == ["7"]
        execute(url, "UPDATE people SET face = NULL")
        run_script(url, tmp_path / "out.sql")


def run_script(url: str, script: Path) -> None:
    """With the database's own client."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        with sqlite3.connect(str(address.database)) as connection:
            connection.executescript(script.read_text(encoding="utf-8"))
        connection.close()
        return
    port, host = str(address.port), str(address.host)
    if address.get_backend_name() == "mysql":
        command = ["mariadb", "--no-defaults", f"-h{host}", f"-P{port}", "-uroot", "--default-character-set=utf8mb4"]
        command.append(str(address.database))
    else:
        options = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", "face128"]
        command = [f"{database_servers.POSTGRES}/psql", *options, str(address.database)]
    variables = environment() | {"PGCLIENTENCODING": "UTF8"}
    with script.open() as file:
        run = subprocess.run(command, stdin=file, env=variables, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM members",
        "UPDATE members SET face = NULL",
        "DROP TABLE members",
        "SELECT nothing FROM members",
        "SELECT name, photo_path FROM members",
        "SELECT reg_no FROM members",
        "nonsense",
        "",
    ],
)
def test_a_query_that_is_no_list_of_members_is_one_sentence_and_changes_nothing(
    url: str, tmp_path: Path, query: str
) -> None:
    execute(url, *MEMBERS)
    before = column(url, "members", "reg_no", "face")
    run = reencode(tmp_path, url, query)
    assert is_refused(run), run
    assert column(url, "members", "reg_no", "face") == before


@pytest.fixture
def lenient(mariadb: Server) -> Iterator[Server]:
    """It cuts off a text that is too long, unless a session asks for an error."""
    execute(mariadb.url, "SET GLOBAL sql_mode = ''")
    yield mariadb
    execute(mariadb.url, "SET GLOBAL sql_mode = DEFAULT")


def test_a_number_too_long_for_the_column_and_a_missing_row_are_reported(lenient: Server, tmp_path: Path) -> None:
    url = lenient.new_database()
    crops(tmp_path / "photos", 3)
    execute(url, *MEMBERS, "ALTER TABLE members MODIFY face VARCHAR(40)")
    run = reencode(tmp_path, url, QUERY, "--write-back", "members.face")
    assert is_refused(run), run
    assert "too long" in run.stderr
    assert column(url, "members", "reg_no", "face")[1032] == "old"
    execute(url, "ALTER TABLE members MODIFY face TEXT")
    query = "SELECT reg_no + 1 AS reg_no, photo_path FROM members WHERE reg_no IN (1029, 1032)"
    run = reencode(tmp_path, url, query, "--write-back", "members.face", "--force")
    assert failed(tmp_path / "out.json") == {"1_Member 1.jpg": "not_found"}
    assert "1 member has their descriptor in members.face" in run.stderr


def test_keys_and_columns_of_postgresqls_own_types(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    crops(tmp_path / "photos", 1)
    key = uuid.uuid4()
    execute(
        url,
        "CREATE SCHEMA club",
        "CREATE TABLE club.people (id uuid PRIMARY KEY, image text, face jsonb, code numeric, faces float8[])",
        f"INSERT INTO club.people VALUES ('{key}', '0_Member 0.jpg', NULL, 7, NULL)",
    )
    run = reencode(tmp_path, url, "SELECT * FROM club.people;", "--write-back", "club.people.face")
    assert run.returncode == 0, run.stderr
    (member,) = json.loads((tmp_path / "out.json").read_text())["enrolled"]
    assert member["regNo"] == str(key)
    run = reencode(tmp_path, url, "SELECT * FROM club.people", "--columns", "regNo=code", out="numbers.json")
    assert [m["regNo"] for m in json.loads((tmp_path / "numbers.json").read_text())["enrolled"]] == [7]
    # Refused before the work: JSON is no text of an array.
    run = reencode(tmp_path, url, "SELECT * FROM club.people", "--write-back", "club.people.faces", out="array.json")
    assert is_refused(run), run
    assert not (tmp_path / "array.json").exists()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT face FROM club.people").scalar() == member["descriptor"]
    engine.dispose()


def test_killed_while_it_writes_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    url, count = new_sqlite(tmp_path), 40 * BATCH_MEMBERS
    crops(tmp_path / "photos", 1)
    execute(
        url,
        "CREATE TABLE members (reg_no INTEGER PRIMARY KEY, face TEXT, updates INTEGER DEFAULT 0)",
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        "INSERT INTO members (reg_no) SELECT i FROM n",
        "CREATE TRIGGER counting AFTER UPDATE OF face ON members BEGIN "
        "UPDATE members SET updates = updates + 1 WHERE reg_no = new.reg_no; END",
    )
    query = "SELECT reg_no, '0_Member 0.jpg' AS photo FROM members"
    options = ["--photos", "photos", "--out", "out.json", "--engine", "fake", "--write-back", "members.face"]
    command = [sys.executable, "-m", "face128", "reencode", "--from-sql", url, "--query", query, *options]
    done = tmp_path / "out.written"
    deadline = time.monotonic() + KILL_DEADLINE_S
    for batches in (2, 6):
        with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as process:
            while not done.exists() or done.read_bytes().count(b"\n") < batches * BATCH_MEMBERS:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
    written = sum(face is not None for face in column(url, "members", "reg_no", "face").values())
    assert 0 < written < count, "all was done before the kill: more members are needed"
    assert written % BATCH_MEMBERS == 0
    run = reencode(tmp_path, url, query, "--write-back", "members.face")
    assert run.returncode == 0, run.stderr
    assert None not in column(url, "members", "reg_no", "face").values()
    updates = list(column(url, "members", "reg_no", "updates").values())
    assert min(updates) == 1  # type: ignore[type-var]
    assert sum(number != 1 for number in updates) <= 2 * BATCH_MEMBERS  # the transactions of the two kills


@pytest.mark.parametrize(
    "options",
    [
        ("--write-back", "face"),
        ("--write-back", "nobody.face"),
        ("--write-back", "members.nothing"),
        ("--write-back", "members.face", "--key", "nothing"),
        ("--write-back", "members.face", "--key", "name"),  # not unique
        ("--write-back", "members.bytes"),
        ("--write-back", ""),
        ("--to", "sql"),
        ("--update", "members.face"),
        ("--columns", "regNo=nothing"),
        ("--columns", "nothing=reg_no"),
    ],
)
def test_a_wrong_option_is_one_sentence_before_any_work(tmp_path: Path, options: tuple[str, ...]) -> None:
    url = new_sqlite(tmp_path)
    crops(tmp_path / "photos", 1)
    execute(url, *MEMBERS, "UPDATE members SET name = 'Ann'", "ALTER TABLE members ADD bytes BLOB")
    run = reencode(tmp_path, url, "SELECT reg_no, '0_Member 0.jpg' AS photo FROM members", *options)
    assert is_refused(run), run
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "out.journal.jsonl").exists()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "oracle://ann:s3cret@host/db",
        "mysql://ann:s3cret@127.0.0.1:9/db",
        "postgresql://ann:s3cret@127.0.0.1:9/db",
        "postgresql://ann:s3cret@127.0.0.1:port/db",
        "sqlite:///missing.sqlite",
        "sqlite://",
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_the_password(tmp_path: Path, url: str) -> None:
    run = reencode(tmp_path, url, QUERY)
    assert is_refused(run), run
    assert "s3cret" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_not_utf_8_is_the_fault_of_its_row_and_the_file_keeps_its_journal_mode(tmp_path: Path) -> None:
    url = new_sqlite(tmp_path)
    crops(tmp_path / "photos", 2)
    execute(url, *MEMBERS, "UPDATE members SET name = CAST(x'4dfc' AS TEXT) WHERE reg_no = 1032")
    run = reencode(tmp_path, url, QUERY, "--write-back", "members.face")
    assert "1 of 4 members have a descriptor" in run.stderr
    with sqlite3.connect(tmp_path / "members.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
