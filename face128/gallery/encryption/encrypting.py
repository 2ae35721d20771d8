"""Seals a gallery that is in clear, some people at a time, beside everything else; and wraps the keys anew.

Both are resumed where they were stopped: what is done is seen in the rows, and in the keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from face128.errors import ConfigurationError
from face128.gallery.encryption.sealing import seal_faces
from face128.gallery.encryption.vault import Vault
from face128.gallery.rows.all_collections import count_in_clear, each_collection
from face128.gallery.rows.statements import next_version
from face128.gallery.storage.database import Database
from face128.gallery.storage.tables import faces, in_collection
from face128.gallery.trail.chain import record

BLOCK_FACES = 100  # a writer waits so long: a tenth of a second
PAUSE_S = 0.05  # in which other writers have their turn
BLOCK_KEYS = 500

Progress = Callable[[int], None]
"""Told how many more faces, or keys, are done."""


def encrypt(database: Database, progress: Progress = lambda _: None) -> int:
    """Seal all faces of all collections that are in clear; return how many those were.

    Then the tables are rewritten, so that the files hold nothing in clear any more.
    """
    _vault(database)
    done = 0
    while True:
        with database.writing() as connection:
            sealed = 0
            for _ in each_collection(connection):
                sealed += _encrypt_some(connection) if not sealed else 0
            if sealed and not done:
                next_version(connection)  # so that processes without the key notice at once
        done += sealed
        progress(sealed)
        if not sealed:
            break
        time.sleep(PAUSE_S)
    database.rewrite_tables()
    return done


def rekey(database: Database, progress: Progress = lambda _: None) -> int:
    """Wrap all keys by the first master key; return how many were wrapped by others. The gallery is not read."""
    vault = _vault(database)
    done = 0
    while count := vault.rewrap(BLOCK_KEYS):
        done += count
        progress(count)
    vault.keystore.wipe_log()
    with database.writing() as connection:
        record(connection, "rekey", details={"keys": done, "master": vault.fingerprint})
    return done


def keys_to_wrap(database: Database) -> int:
    """How many keys another master key than the first wraps."""
    vault = _vault(database)
    return sum(count for master, count in vault.keystore.masters().items() if master != vault.fingerprint)


def count_faces_in_clear(database: Database) -> int:
    with database.reading() as connection:
        return count_in_clear(connection)


def _encrypt_some(connection: sa.Connection) -> int:
    in_clear = faces.c.key_id.is_(None) & in_collection(connection)
    wanted = sa.select(faces.c.id, faces.c.user_id).where(in_clear)
    rows = connection.execute(wanted.limit(BLOCK_FACES)).all()
    owners = {row.id: row.user_id for row in rows}
    of_people = faces.c.user_id.in_(sorted(set(owners.values())))
    owners |= {row.id: row.user_id for row in connection.execute(wanted.where(of_people))}
    sealed = seal_faces(connection, owners)
    if sealed:
        record(connection, "encrypt", people=sorted(set(owners.values())), details={"faces": sealed})
    return sealed


def _vault(database: Database) -> Vault:
    if database.vault is None:
        raise ConfigurationError("Set FACE128_GALLERY_KEY first: face128 gallery new-key prints a new one.")
    return database.vault
