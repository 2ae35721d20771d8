"""The database of the members: connections to it, and the rows of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from face128.errors import BadRequest, ConfigurationError
from face128.gallery.storage.database_url import make_engine, parse_url
from face128.jobs.reencode.listing import PhotoListing
from face128.jobs.reencode.member_rows import list_rows, require_columns

STATEMENT_TIMEOUT_S = 600
LOCK_TIMEOUT_S = 30
MAX_BUFFERED_ROWS = 4  # each may hold a photo of some megabytes, which PostgreSQL sends as twice as many digits
MAX_REASON_CHARACTERS = 300  # of the database's own message, which may quote a descriptor
MYSQL_STRICT = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
"""A descriptor that is too long for its column is an error, and not cut off."""


class MembersDatabase:
    """Raises ConfigurationError for an invalid URL."""

    def __init__(self, url: str) -> None:
        self._address = parse_url(url, "--from-sql")
        self.dialect = self._address.get_backend_name()
        self.name = self._address.render_as_string(hide_password=True)

    @contextmanager
    def connection(self, *, writing: bool = False) -> Iterator[sa.Connection]:
        """One for reading cannot change anything. Raises ConfigurationError if the database fails or refuses."""
        engine = self._engine(writing)
        try:
            with engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).partition("\n")[0][:MAX_REASON_CHARACTERS]
            raise ConfigurationError(f"The members' database failed: {reason}.") from None
        finally:
            engine.dispose()

    def read_members(
        self, query: str, named: Mapping[str, str], folder: Path, keep: Callable[[bytes], Path]
    ) -> PhotoListing:
        """The photos that the query's rows name or hold, as ``list_rows`` reads them."""
        options = {"stream_results": True, "no_parameters": True, "max_row_buffer": MAX_BUFFERED_ROWS}
        with (
            self.connection() as connection,
            connection.execution_options(**options).exec_driver_sql(query) as result,
        ):
            if not result.returns_rows:
                raise BadRequest("--query is a SELECT: this statement returns no rows.")
            columns = require_columns(result.keys(), named)
            listing = list_rows(map(dict, result.mappings()), named, folder, keep)
            return replace(listing, reg_no_column=columns["regNo"])

    def _engine(self, writing: bool) -> sa.Engine:
        if self.dialect == "sqlite":
            # Not the gallery's connections: they would change the file's journal mode.
            path = quote(str(Path(self._address.database or "").absolute()))
            uri = f"file:{path}?mode={'rw' if writing else 'ro'}"
            connect = partial(sqlite3.connect, uri, uri=True, timeout=LOCK_TIMEOUT_S)
            engine = sa.create_engine(self._address, creator=connect, hide_parameters=True)
        else:
            engine = make_engine(self._address, STATEMENT_TIMEOUT_S, LOCK_TIMEOUT_S, "--from-sql")

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _: object) -> None:
            if self.dialect == "sqlite":
                # A text that is not UTF-8 is its row's fault alone.
                connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
                return
            if self.dialect == "postgresql":
                statement = f"SET SESSION CHARACTERISTICS AS TRANSACTION READ {'WRITE' if writing else 'ONLY'}"
            else:
                statement = MYSQL_STRICT if writing else "SET SESSION TRANSACTION READ ONLY"
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
            connection.commit()

        return engine
