"""The column of the members' table that takes their descriptors: as a file of UPDATE statements, or written to it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from face128.domain.model_card import ModelCard
from face128.errors import BadRequest, NotFound
from face128.jobs.reencode.advice import ADVICE
from face128.jobs.reencode.members_database import MYSQL_STRICT, MembersDatabase
from face128.jobs.reencode.output_formats import FIRST_BYTES, descriptor_text
from face128.jobs.reencode.results import EncodedMember, PhotoFailure
from face128.terminal.progress import Progress

BATCH_MEMBERS = 200  # in one transaction


class DescriptorColumn:
    """``TABLE.COLUMN`` or ``SCHEMA.TABLE.COLUMN``, and the column ``key`` of the table, which holds the regNo.

    It takes descriptors of the model of ``card``. A member's first photo with one counts; a member without one is left
    as they are. Raises BadRequest if there are no such columns, or the key does not tell the rows apart.
    """

    def __init__(self, database: MembersDatabase, path: str, key: str, card: ModelCard, *, base64: bool) -> None:
        self.path = path
        self._database, self._card, self._base64 = database, card, base64
        place, _, column = path.rpartition(".")
        schema, _, table = place.rpartition(".")
        with database.connection() as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)  # a column of a type that SQLAlchemy does not know
            try:
                found = sa.inspect(connection).get_columns(table, schema or None)
            except sa.exc.NoSuchTableError:
                raise BadRequest(f"{path} is no TABLE.COLUMN: there is no such table.") from None
            types = {each["name"]: each["type"] for each in found}
            for name in (column, key):
                if name not in types:
                    hint = " Name the column that holds the regNo with --key." if name == key else ""
                    raise BadRequest(f"{place} has no column {name}. It has: {', '.join(types)}.{hint}")
            if isinstance(types[column], sa.LargeBinary):
                raise BadRequest(f"{path} is binary. A descriptor needs a column for text or JSON.")
            self._key: sa.ColumnClause[object] = sa.column(sa.quoted_name(key, quote=True))
            self._column: sa.ColumnClause[object] = sa.column(sa.quoted_name(column, quote=True))
            table_name = sa.quoted_name(table, quote=True)
            self._table = sa.table(table_name, self._key, self._column, schema=schema or None)
            shared = sa.select(self._key).where(self._key.is_not(None)).group_by(self._key).having(sa.func.count() > 1)
            if connection.execute(shared.select_from(self._table).limit(1)).first():
                raise BadRequest(f"Several rows of {place} have the same {key}. Name a unique column with --key.")

    def check_writable(self) -> None:
        """Raise ConfigurationError where the database refuses such an update, before the work of an hour."""
        text = json.dumps([0.0] * self._card.dimension)
        with self._database.connection(writing=True) as connection:
            no_row = self._statement().where(sa.false())
            connection.execute(no_row, {"key": None, "text": "AAAA" if self._base64 else text})
            connection.rollback()

    def write(self, members: list[EncodedMember], done_file: Path) -> tuple[int, list[PhotoFailure]]:
        """Update the members' rows, in transactions of BATCH_MEMBERS.

        Returns how many rows have their descriptor, from now or from an earlier run, and who has no row. ``done_file``
        has a line for each member who is done, so that a second run writes only new and changed descriptors.
        """
        done = set(done_file.read_text(errors="replace").split()) if done_file.exists() else set()
        described = {self._fingerprint(member): member for member in members if self._descriptor(member)}
        waiting = [(mark, member) for mark, member in described.items() if mark not in done]
        batches = [waiting[start : start + BATCH_MEMBERS] for start in range(0, len(waiting), BATCH_MEMBERS)]
        without_row = []
        with (
            done_file.open("a") as file,
            self._database.connection(writing=True) as connection,
            Progress(f"Writing {self.path}", len(described)) as bar,
        ):
            bar.found_done(len(described) - len(waiting))
            for batch in batches:
                marks = []
                with connection.begin():
                    for mark, member in batch:
                        if self._update(connection, member):
                            marks.append(mark + "\n")
                        else:
                            without_row.append(member)
                file.writelines(marks)
                file.flush()
                bar.advance(len(batch))
        return len(described) - len(without_row), [self._no_row(member) for member in without_row]

    def statements(self, members: list[EncodedMember], dialect: sa.Dialect) -> Iterator[str]:
        """UPDATE statements in the database's own SQL. ``dialect``: of a connection, which knows how to quote."""
        return (self._literal_update(dialect, member) for member in members if self._descriptor(member))

    def _statement(self, key: object = None, text: str | None = None) -> sa.Update:
        """Without values, the parameters have no type: PostgreSQL then takes the column's."""
        is_member = self._key == sa.bindparam("key", key)
        return sa.update(self._table).where(is_member).values({self._column: sa.bindparam("text", text)})

    def _literal_update(self, dialect: sa.Dialect, member: EncodedMember) -> str:
        statement = self._statement(self._key_value(member.reg_no), self._text(member))
        sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        # For a driver whose parameters are %s, SQLAlchemy doubles every percent sign.
        return sql.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else sql

    def _update(self, connection: sa.Connection, member: EncodedMember) -> bool:
        """Whether the member has a row."""
        parameters = {"key": self._key_value(member.reg_no), "text": self._text(member)}
        return connection.execute(self._statement(), parameters).rowcount > 0

    def _text(self, member: EncodedMember) -> str:
        return descriptor_text(self._descriptor(member), base64=self._base64)

    def _descriptor(self, member: EncodedMember) -> str:
        """Empty if there is none."""
        return next(iter(member.of_model(self._card.name)), "")

    def _key_value(self, reg_no: object) -> object:
        """In PostgreSQL a number is not comparable with a column of text, and in MySQL 7 equals both '7' and '07'."""
        return reg_no if self._database.dialect == "sqlite" else str(reg_no)

    def _fingerprint(self, member: EncodedMember) -> str:
        parts = [self._database.name, self.path, self._key.name, member.reg_no, self._text(member)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _no_row(self, member: EncodedMember) -> PhotoFailure:
        code, error = NotFound.code, f"No row of the table has this {self._key.name}."
        return PhotoFailure(member.reg_no, member.name, member.photos[0].photo, code, error, ADVICE[code])


def write_statements(
    columns: Sequence[DescriptorColumn],
    database: MembersDatabase,
    file: TextIO,
    members: list[EncodedMember],
    cards: Sequence[ModelCard],
) -> None:
    """A file of UPDATE statements, in one transaction."""
    strict = [] if database.dialect in ("sqlite", "postgresql") else [MYSQL_STRICT]
    count = sum(bool(member.descriptors) for member in members)
    models = " and ".join(f"{card.name}, {card.pipeline}" for card in cards)
    with database.connection() as connection:
        updates = chain.from_iterable(column.statements(members, connection.dialect) for column in columns)
        file.write(f"{FIRST_BYTES['sql'].decode()}: {count} descriptors of {models}\n")
        for statement in chain(strict, ["BEGIN"], updates, ["COMMIT"]):
            file.write(f"{statement};\n")
