"""Whether the key, the keystore and the gallery of the settings belong together; nothing is changed or created."""

from __future__ import annotations

import sqlalchemy as sa

from face128.errors import DatabaseUnavailable
from face128.gallery.encryption.key_source import master_secrets
from face128.gallery.encryption.open_vault import vault_from_settings
from face128.gallery.storage.database import LOCK_TIMEOUT_S, TIMEOUT_S
from face128.gallery.storage.database_errors import unavailable
from face128.gallery.storage.database_url import make_engine, parse_url
from face128.gallery.storage.tables import state
from face128.settings import Settings

NOT_YET = "the key can be read; nothing is encrypted yet"


def examine_encryption(settings: Settings) -> str:
    """A sentence if all is well. Raises GalleryLocked, or DatabaseUnavailable."""
    master_secrets(settings)
    if not (settings.database_url or settings.gallery_file.exists()):
        return NOT_YET
    url = settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{settings.gallery_file}"
    engine = make_engine(parse_url(url), TIMEOUT_S, LOCK_TIMEOUT_S)
    try:
        with engine.connect() as connection:
            tables = sa.inspect(connection)
            columns = tables.get_columns("state") if tables.has_table("state") else []
            if not any(column["name"] == "keystore_id" for column in columns):
                return NOT_YET
            row = connection.execute(sa.select(state.c.gallery_id, state.c.keystore_id)).one()
    except sa.exc.SQLAlchemyError as error:
        raise (unavailable(error) or DatabaseUnavailable()) from None
    finally:
        engine.dispose()
    if row.keystore_id is None:
        return NOT_YET
    vault = vault_from_settings(settings)
    assert vault is not None
    try:
        vault.unlock(row.gallery_id, row.keystore_id)
    finally:
        vault.close()
    return "the key, the keystore and the gallery belong together"
