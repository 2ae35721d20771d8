"""Real database servers in temporary folders, run by an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from serving import free_port

from face128.gallery.gallery import Gallery

STARTUP_TIMEOUT_S = 60  # generous: a test does not measure it
STOP_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 120
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def skip_missing(name: str) -> None:
    """Skip the test; fail it with REQUIRE_SERVERS, as in CI."""
    reason = f"{name} is not installed"
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


class Server:
    """A server that can be stopped and started again with the same folder and port."""

    def __init__(self, command: list[str], url: str, folder: Path) -> None:
        self._command = command
        self.folder = folder
        """All that it writes."""
        self._process: subprocess.Popen[bytes] | None = None
        self._first_gallery: str | None = None
        self.url = url
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **unprivileged_options()
        )
        connect = {"connect_timeout": STARTUP_TIMEOUT_S}
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", connect_args=connect)
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while True:
            try:
                with engine.connect():
                    return
            except sa.exc.OperationalError:
                assert self._process.poll() is None, "the server has ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)

    def stop(self) -> None:
        assert self._process is not None
        # Both stop the server at once.
        self._process.send_signal(signal.SIGQUIT if "postgres" in self.url else signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The kernel still takes connections and data for it; nothing is answered."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        processes = [server, *server.children(recursive=True)]  # PostgreSQL has one for each connection
        try:
            for process in processes:
                with suppress(psutil.NoSuchProcess):  # the connection of an earlier test
                    process.suspend()
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"t{uuid.uuid4().hex}"
        self._execute(self.url, f"CREATE DATABASE {name}")
        return self._database(name)

    def new_gallery(self) -> str:
        """The URL of a database with the tables of an empty gallery: quicker than its migrations."""
        if self._first_gallery is None:
            self._first_gallery = self.new_database()
            Gallery(self._first_gallery).close()
        first = sa.make_url(self._first_gallery).database
        if "postgres" in self.url:
            url = self._database(name := f"t{uuid.uuid4().hex}")
            self._execute(self.url, f"CREATE DATABASE {name} TEMPLATE {first}")
        else:
            url = self.new_database()
            self._execute(url, "SET foreign_key_checks = 0", *self._tables(self._first_gallery))
            copied = [f"INSERT INTO {table} SELECT * FROM {first}.{table}" for table in ("alembic_version", "state")]
            self._execute(url, *copied)
        self._execute(url, f"UPDATE state SET gallery_id = '{uuid.uuid4().hex}'")
        return url

    def _database(self, name: str) -> str:
        return self.url.rpartition("/")[0] + f"/{name}"

    @staticmethod
    def _execute(url: str, *statements: str) -> None:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection = connection.execution_options(no_parameters=True)
            for statement in statements:
                connection.exec_driver_sql(statement)

    @staticmethod
    def _tables(url: str) -> list[str]:
        """The statements that make the tables of a database of MariaDB."""
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            names = connection.exec_driver_sql("SHOW TABLES").scalars().all()
            return [connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one()[1] for name in names]


def unprivileged_options() -> dict[str, str]:
    """Options of subprocess: neither server runs as root."""
    return {"user": "nobody"} if os.geteuid() == 0 else {}


def unprivileged_user() -> str:
    return unprivileged_options().get("user", pwd.getpwuid(os.geteuid()).pw_name)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="face128-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(path, "nobody")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def mariadb() -> Iterator[Server]:
    daemon, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if not daemon or not install:
        skip_missing("MariaDB")
    with temporary_folder() as data:
        # A server that starts deletes temporary tables in its tmpdir: in /tmp, those of another one that starts too.
        common = ["--no-defaults", f"--datadir={data}/data", f"--tmpdir={data}"]
        quick = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        run_checked([str(install), *common, *quick, f"--user={unprivileged_user()}"])
        port = free_port()
        options = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={data}/socket", f"--pid-file={data}/pid"]
        # Each commit is written, but not forced to the disk: only a power cut, not a killed server, loses it.
        options += ["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--skip-sync-frm"]
        server = Server([str(daemon), *common, *options], f"mysql+pymysql://root@127.0.0.1:{port}/mysql", data)
        yield server
        server.stop()


@contextmanager
def postgresql() -> Iterator[Server]:
    if POSTGRES is None:
        skip_missing("PostgreSQL")
    with temporary_folder() as data:
        quick = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        run_checked([f"{POSTGRES}/initdb", "-D", f"{data}/data", "-U", "face128", *quick])
        port = free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"]
        options += ["-c", "fsync=off"]  # as above
        command = [f"{POSTGRES}/postgres", "-D", f"{data}/data", "-p", str(port), *options]
        server = Server(command, f"postgresql+psycopg://face128@127.0.0.1:{port}/postgres", data)
        yield server
        server.stop()


def start_milvus(path: str) -> None:
    """Start milvus-lite's server in this process, as its first client does; two simultaneous first clients fail."""
    if find_spec("milvus_lite") is None:
        skip_missing("milvus-lite")
    from pymilvus import MilvusClient

    MilvusClient(uri=path)


class MilvusServer:
    """milvus-lite in a process of its own, as a Milvus that several services share."""

    def __init__(self, folder: Path) -> None:
        if find_spec("milvus_lite") is None:
            skip_missing("milvus-lite")
        self._folder, self._port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        arguments = f"{str(self._folder)!r}, '127.0.0.1', {self._port}"
        command = f"from milvus_lite.adapter.grpc.server import run_server; run_server({arguments})"
        log = subprocess.DEVNULL
        self._process = subprocess.Popen([sys.executable, "-c", command], stdout=log, stderr=log)
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            assert self._process.poll() is None, "milvus-lite has ended"
            assert time.monotonic() < deadline, "milvus-lite does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The kernel still takes connections and data for it; nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


def run_checked(command: list[str]) -> None:
    completed = subprocess.run(
        command, capture_output=True, text=True, cwd="/", timeout=COMMAND_TIMEOUT_S, **unprivileged_options()
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
