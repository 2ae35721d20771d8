"""The keystore: a database of its own with the key of each enrolled person, wrapped by the master key.

A key is random and is destroyed with its person. So a backup of the gallery, beside the keystore of today, shows nobody
who was erased since.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from face128.errors import ConfigurationError, DatabaseUnavailable, GalleryBusy, GalleryFull, GalleryLocked, GalleryLost
from face128.gallery.encryption.master_key import FINGERPRINT_BYTES
from face128.gallery.storage.blocks import in_blocks
from face128.gallery.storage.database import (
    LOCK_TIMEOUT_S,
    REQUEST_LOCK_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    TIMEOUT_S,
    fetch_all,
)
from face128.gallery.storage.database_errors import unavailable
from face128.gallery.storage.database_url import make_engine, parse_url
from face128.gallery.storage.sqlite_engine import empty_log
from face128.gallery.storage.sqlite_file import SqliteFile, file_of

SETTING = "FACE128_KEYSTORE_URL"
TOKEN_KEY = "tokens"  # noqa: S105  its id
WIPE_TIMEOUT_S = 0.2
OTHER_KEYSTORE = "The keystore is not that of this gallery. Nothing was changed."
AWAY = "The keystore of the encrypted gallery cannot be used."
GONE = "The keystore of the encrypted gallery is not where FACE128_KEYSTORE_URL, or FACE128_DATA, says: put it back."

_metadata = sa.MetaData()
_KEY_ID = sa.String(32)
keystore = sa.Table(
    "keystore",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("keystore_id", _KEY_ID, nullable=False),
    # A keystore is of one gallery: the keys are bound to it.
    sa.Column("gallery_id", sa.String(64), nullable=False),
    mysql_engine="InnoDB",
)
person_keys = sa.Table(
    "person_keys",
    _metadata,
    sa.Column("key_id", _KEY_ID, primary_key=True),
    # The fingerprint of the master key that wraps it.
    sa.Column("master", sa.String(2 * FINGERPRINT_BYTES), nullable=False),
    sa.Column("wrapped", sa.LargeBinary(255), nullable=False),
    mysql_engine="InnoDB",
)

Wrapped = tuple[str, str, bytes]
"""The id of a key, the fingerprint of its master key, and the wrapped key."""


class Keystore:
    """Thread-safe. Raises ConfigurationError for an invalid URL; the methods raise DatabaseUnavailable."""

    def __init__(self, url: str, *, hurried: bool = False) -> None:
        self._address = parse_url(url, SETTING)
        self._sqlite = self._address.get_backend_name() == "sqlite"
        self._file: SqliteFile | None = None
        timeout_s, lock_timeout_s = (
            (REQUEST_TIMEOUT_S, REQUEST_LOCK_TIMEOUT_S) if hurried else (TIMEOUT_S, LOCK_TIMEOUT_S)
        )
        self._engine = make_engine(self._address, timeout_s, lock_timeout_s, SETTING)
        # In PostgreSQL, a repeatable read that has waited for another writer fails.
        level = {} if self._sqlite else {"isolation_level": "READ COMMITTED"}
        self._writer = self._engine.execution_options(writing=True, **level)
        self.keystore_id = self.gallery_id = ""

    def open(self, gallery_id: str, keystore_id: str | None) -> None:
        """Open the keystore of this gallery; make one if the gallery has none yet, which ``keystore_id`` says.

        Raises GalleryLocked where it is another gallery's, or another one than this gallery's rows need.
        """
        with self._available():
            if self._sqlite:
                self._file = file_of(self._address, must_exist=keystore_id is not None)
            with self._engine.connect() as connection:
                tables = set(sa.inspect(connection).get_table_names())
            if "faces" in tables:
                raise ConfigurationError(f"{SETTING} leads to the gallery: the keys need a database of their own.")
            found = self._identity() if "keystore" in tables else None
            if found is None and keystore_id is not None:
                raise GalleryLocked(GONE)
            if found is None:
                self._create_tables()
                found = self._adopt(gallery_id)
            if found[1] != gallery_id or keystore_id not in (None, found[0]):
                raise GalleryLocked(OTHER_KEYSTORE)
            self.keystore_id, self.gallery_id = found

    def check(self) -> None:
        """Raise the DatabaseUnavailable that the next call would meet."""
        with self._available():
            if self._file is None:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        self._engine.dispose()

    def read(self, key_ids: Sequence[str]) -> list[Wrapped]:
        """Those of the keys that there are."""
        found: list[Wrapped] = []
        with self._available(), self._engine.begin() as connection:
            for some in in_blocks(key_ids):
                block = ", ".join(f"'{key_id}'" for key_id in some if key_id.isalnum())
                if block:  # letters and digits: safe in SQL
                    wanted = f"SELECT key_id, master, wrapped FROM person_keys WHERE key_id IN ({block})"  # noqa: S608
                    found += fetch_all(connection, wanted)
        return found

    def all_ids(self) -> set[str]:
        with self._available(), self._engine.begin() as connection:
            return {row[0] for row in fetch_all(connection, "SELECT key_id FROM person_keys")}

    def masters(self) -> dict[str, int]:
        """How many keys each master key wraps, by the fingerprints."""
        with self._available(), self._engine.begin() as connection:
            rows = fetch_all(connection, "SELECT master, COUNT(*) FROM person_keys GROUP BY master")
        return {master: int(count) for master, count in rows}

    def add(self, keys: Sequence[Wrapped]) -> None:
        """Keep new keys. They are kept when this returns."""
        rows = [dict(zip(("key_id", "master", "wrapped"), key, strict=True)) for key in keys]
        with self._available():
            with self._writer.begin() as connection:
                connection.execute(sa.insert(person_keys), rows)
            if self._file:
                self._file.check(None)  # what was written to a file that is gone is not kept

    def destroy(self, key_ids: Sequence[str]) -> bool:
        """Delete keys for good. Returns whether nothing of them remains in the file's log."""
        with self._available():
            with self._writer.begin() as connection:
                for block in in_blocks(key_ids):
                    connection.execute(sa.delete(person_keys).where(person_keys.c.key_id.in_(block)))
            if self._file is None:
                return True
            with self._engine.connect() as connection:
                return empty_log(connection, WIPE_TIMEOUT_S)

    def wrapped_by_others(self, master: str, limit: int) -> list[Wrapped]:
        """Some keys that another master key wraps."""
        wanted = sa.select(person_keys).where(person_keys.c.master != master).limit(limit)
        with self._available(), self._engine.begin() as connection:
            return [tuple(row) for row in connection.execute(wanted)]

    def replace(self, before: Sequence[Wrapped], after: Sequence[Wrapped]) -> None:
        """Exchange wrapped keys, all or none. One that was destroyed meanwhile stays so."""
        with self._available(), self._writer.begin() as connection:
            for (key_id, old, _), (_, new, wrapped) in zip(before, after, strict=True):
                same = (person_keys.c.key_id == key_id) & (person_keys.c.master == old)
                connection.execute(sa.update(person_keys).where(same).values(master=new, wrapped=wrapped))

    def wipe_log(self) -> bool:
        """Whether the file's log is empty now."""
        if self._file is None:
            return True
        with self._available(), self._engine.connect() as connection:
            return empty_log(connection, WIPE_TIMEOUT_S)

    def _create_tables(self) -> None:
        try:
            with self._writer.begin() as connection:
                for table in (person_keys, keystore):
                    connection.execute(CreateTable(table, if_not_exists=True))
        except sa.exc.DBAPIError:  # in PostgreSQL, two that do this at once may collide
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table("keystore"):
                    raise

    def _identity(self) -> tuple[str, str] | None:
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(keystore.c.keystore_id, keystore.c.gallery_id)).one_or_none()
        return None if row is None else (row.keystore_id, row.gallery_id)

    def _adopt(self, gallery_id: str) -> tuple[str, str]:
        """Make an empty keystore this gallery's; another process may be faster."""
        values = {"id": 1, "keystore_id": secrets.token_hex(16), "gallery_id": gallery_id}
        with suppress(sa.exc.IntegrityError), self._writer.begin() as connection:
            connection.execute(sa.insert(keystore).values(values))
        found = self._identity()
        assert found is not None
        return found

    @contextmanager
    def _available(self) -> Iterator[None]:
        """Turn the errors of a database that cannot be used into DatabaseUnavailable."""
        try:
            if self._file:
                self._file.check(None)
            yield
        except GalleryLocked:
            raise
        except GalleryLost:  # the file was deleted or exchanged
            raise GalleryLocked(GONE) from None
        except DatabaseUnavailable as error:
            raise type(error)(f"The keystore: {error}") from None
        except Exception as error:
            meaning = unavailable(error)
            if meaning is None:
                raise
            kind = type(meaning) if isinstance(meaning, GalleryBusy | GalleryFull) else DatabaseUnavailable
            raise kind(AWAY) from None
