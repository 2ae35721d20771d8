"""Connections to MySQL, MariaDB and PostgreSQL, on which no wait is without an end.

A server that hangs (its process is stopped, its host is gone, the network swallows everything) answers nothing, not
even that a statement took too long. So the waits end in this process.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from face128.gallery.storage.database_errors import timed_out

CONNECT_TIMEOUT_S = 3
GRACE_S = 0.5  # after which the client gives up a statement that the server should have given up itself


def server_engine(address: sa.URL, timeout_s: float, lock_timeout_s: float, **options: Any) -> sa.Engine:
    """``timeout_s`` is for each statement (PostgreSQL), or for each silence of the server (MySQL)."""
    postgresql = address.get_backend_name() == "postgresql"
    connect: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S}
    if postgresql:
        lock_ms, statement_ms = int(lock_timeout_s * 1000), int(timeout_s * 1000)
        session = f"SET lock_timeout = {lock_ms}; SET statement_timeout = {statement_ms}"
    else:
        connect |= {"read_timeout": timeout_s + GRACE_S, "write_timeout": timeout_s + GRACE_S, "charset": "utf8mb4"}
        # TIMESTAMP is stored in UTC and returned in the session's time zone.
        session = f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {math.ceil(lock_timeout_s)}"
    engine = sa.create_engine(
        address, connect_args=connect, isolation_level="REPEATABLE READ", pool_pre_ping=True, **options
    )
    if postgresql:
        _bound_waits(engine, timeout_s + GRACE_S)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(session)
        connection.commit()

    @sa.event.listens_for(engine, "handle_error")
    def do_not_wait_twice(context: sa.engine.ExceptionContext) -> None:
        """A server that is silent on an old connection would be silent on a new one, too."""
        if context.is_pre_ping and timed_out(context.original_exception):
            context.is_disconnect = False

    return engine


def _bound_waits(engine: sa.Engine, timeout_s: float) -> None:
    """A read timeout for psycopg, which has none. The kernel's do not notice a process that is stopped."""
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        def wait(self, generator: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(generator, interval, timeout or timeout_s)
            except psycopg.OperationalError as error:
                if type(error).__name__ == "_WaitTimeout":
                    self.close()  # so that nothing waits for it again, to roll back
                    raise psycopg.OperationalError("The server did not answer in time.") from TimeoutError()
                raise

    @sa.event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, arguments: Any, parameters: Any) -> Any:
        return BoundedConnection.connect(*arguments, **parameters)
