"""The rows of people's judgements, as the rows of decisions and of people change.

A row goes with its decision: the database deletes it. Its ``user_id``, as that of decisions, says who it was instead of
the person who was found; of the other judgements it is NULL.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from face128.gallery.storage.tables import collection_of, decisions, faces, in_collection, reviews


def move(connection: sa.Connection, stored_from: str, stored_to: str) -> None:
    """As ``decisions.move``, after it. Who was found, and who it was instead, may now be one person: it was right."""
    connection.execute(sa.update(reviews).where(_name(connection, [stored_from])).values(user_id=stored_to))
    found = sa.exists().where(
        decisions.c.id == reviews.c.decision_id,
        decisions.c.user_id == reviews.c.user_id,
        in_collection(connection, decisions),
    )
    now_right = _name(connection, [stored_to]) & found
    connection.execute(sa.update(reviews).where(now_right).values(judgement="right", user_id=None))


def forget(connection: sa.Connection, stored_ids: Sequence[str]) -> None:
    """Name nobody of these people, unless they have a face left: what stays is that it was not who was found."""
    enrolled = sa.exists().where((faces.c.user_id == reviews.c.user_id) & in_collection(connection))
    gone = _name(connection, stored_ids) & ~enrolled
    connection.execute(sa.update(reviews).where(gone).values(judgement="wrong", user_id=None))


def _name(connection: sa.Connection, stored_ids: Collection[str]) -> sa.ColumnElement[bool]:
    return (reviews.c.collection == collection_of(connection)) & reviews.c.user_id.in_(stored_ids)
