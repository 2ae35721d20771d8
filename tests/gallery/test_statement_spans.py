"""The statements of a traced request, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa

from face128.gallery.storage.database import Database
from face128.spans import RecordedSpan, Tracer, set_tracer

SYSTEMS = {"sqlite": "sqlite", "mariadb": "mysql", "postgresql": "postgresql"}


class Kept(Tracer):
    is_on = True

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        self.told.append(f"begin {name}")
        yield
        self.told.append(f"end {name}")

    def span(self, name: str, **attributes: str | int | float) -> object:
        return self._span(name)

    def past(self, spans: Sequence[RecordedSpan], **attributes: str | int | float) -> None:
        for name, start, end, around in spans:
            assert start <= end
            assert around == -1
            self.told.append(f"{attributes['db.system.name']} {name}")
            assert attributes["db.operation.name"] == name


@pytest.fixture
def kept() -> Iterator[Kept]:
    tracer = Kept()
    set_tracer(tracer)
    yield tracer
    set_tracer(Tracer())


@pytest.mark.parametrize("kind", SYSTEMS)
def test_each_statement_has_a_span(kind: str, kept: Kept, new_database: Callable[[str], str]) -> None:
    database, system = Database(new_database(kind)), SYSTEMS[kind]
    try:
        kept.told.clear()
        with database.reading() as connection:
            connection.execute(sa.select(sa.literal("Vicky")))
            with suppress(sa.exc.DatabaseError):
                connection.execute(sa.text("WRONG 'Vicky'"))
        assert kept.told == [f"{system} SELECT"]
        kept.told.clear()
        with database.writing() as connection:
            connection.execute(sa.text("UPDATE state SET version = version WHERE 1 = 0"))
        assert (kept.told[0], kept.told[-1]) == ("begin transaction", "end transaction")
        assert f"{system} UPDATE" in kept.told
        assert {told.split()[-1] for told in kept.told} == {"transaction", "SELECT", "UPDATE"}
    finally:
        database.close()


def test_without_a_tracer_nothing_listens(new_database: Callable[[str], str]) -> None:
    database = Database(new_database("sqlite"))
    try:
        assert not database._engine.dispatch.before_cursor_execute
        assert not database._engine.dispatch.after_cursor_execute
    finally:
        database.close()
