"""The columns of the gallery's tables: the faces, the ids of erased faces, and one row that counts the changes.

A row of ``faces`` is a photo, with its descriptor by one model; ``companions`` has those by other models, and the
database deletes them with the photo.

The migrations define them in full. Each change takes the next number of ``state.version``. An added face or companion
has the number of its change; of an erased face only the id is kept, with the number of its change. A process that has
read the gallery at version 7 only has to read the rows above 7 to be up to date.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from face128.domain.collection import DEFAULT_COLLECTION, check_collection

faces = sa.table(
    "faces",
    sa.column("id", sa.Integer),
    sa.column("user_id", sa.String),
    sa.column("name", sa.String),
    sa.column("embedding", sa.LargeBinary),
    sa.column("created_at", sa.TIMESTAMP),
    sa.column("record_id", sa.String),
    sa.column("is_number", sa.Boolean),
    sa.column("metadata", sa.Text),
    sa.column("model", sa.String),
    sa.column("content_hash", sa.String),
    sa.column("version", sa.BigInteger),
    sa.column("photo_facts", sa.Text),
    sa.column("key_id", sa.String),
    sa.column("sealed", sa.LargeBinary),
    sa.column("collection", sa.String),
)
companions = sa.table(
    "companions",
    sa.column("face_id", sa.Integer),
    sa.column("model", sa.String),
    sa.column("embedding", sa.LargeBinary),
    sa.column("version", sa.BigInteger),
    sa.column("collection", sa.String),
)
people = sa.table(
    "people",
    sa.column("collection", sa.String),
    sa.column("user_id", sa.String),
    sa.column("expires_at", sa.DateTime),
    sa.column("consent", sa.Text),
    sa.column("consent_key", sa.String),
    sa.column("last_seen", sa.Date),
)
erased = sa.table("erased", sa.column("face_id", sa.Integer), sa.column("version", sa.BigInteger))
key_destructions = sa.table("key_destructions", sa.column("key_id", sa.String))
state = sa.table(
    "state",
    *map(sa.column, ("id", "gallery_id", "version", "complete_from", "indexed", "keystore_id")),
    *map(sa.column, ("trail_on", "trail_seq", "trail_hash", "trail_seal", "trail_key")),
)
_TRAIL = "seq at actor action person collection request_id result details hash_key hash"
trail = sa.table("trail", *map(sa.column, _TRAIL.split()))
_DECISIONS = "id collection at keep_until actor request_id kind user_id distance risk verdict rule model"
decisions = sa.table("decisions", *map(sa.column, _DECISIONS.split()))
console_sessions = sa.table("console_sessions", *map(sa.column, ("token_hash", "key_hash", "expires_at")))
_REVIEWS = "decision_id collection at actor judgement user_id"
reviews = sa.table("reviews", *map(sa.column, _REVIEWS.split()))
_JOBS = "collection job_id actor started_at updated_at state stage total done failed details"
posting_jobs = sa.table("posting_jobs", *map(sa.column, _JOBS.split()))
thumbnails = sa.table("thumbnails", *map(sa.column, ("face_id", "collection", "key_id", "sealed", "expires_at")))


def collection_of(connection: sa.Connection) -> str:
    """The collection whose rows this connection reads and writes: that of the Database which opened it."""
    return check_collection(connection.get_execution_options().get("collection", DEFAULT_COLLECTION))


def in_collection(
    connection: sa.Connection, table: sa.TableClause = faces, *, whole: bool = False
) -> sa.ColumnElement[bool]:
    """The condition for the rows of the connection's collection. Every statement on such a table has it.

    ``whole``: for a statement that reads all of them, by the index on collections. Other statements must not use that
    index: a database that does not know how many rows a collection has would prefer it to those on versions and
    user_ids. So their condition compares the column with nothing added to it, an expression that has no index.
    """
    name = sa.literal(collection_of(connection))
    if whole:
        return table.c.collection == name
    if connection.dialect.name == "sqlite":  # "+" before a text adds nothing, and takes less time than ||
        return UnaryExpression(table.c.collection, operator=custom_op("+"), type_=sa.String()) == name
    return table.c.collection.concat("") == name


def in_collection_sql(connection: sa.Connection, *, whole: bool = False) -> str:
    """As ``in_collection``, for a statement that is written as text, and has one table."""
    columns = {"sqlite": "+collection", "postgresql": "collection || ''"}
    column = "collection" if whole else columns.get(connection.dialect.name, "CONCAT(collection, '')")
    return f"{column} = '{collection_of(connection)}'"  # checked: it has no quotation mark
