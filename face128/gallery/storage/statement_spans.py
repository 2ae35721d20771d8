"""A span for each statement of a request that is traced: its first word, never its text or its parameters."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import sqlalchemy as sa

from face128.spans import tracer


def trace_statements(engine: sa.Engine) -> None:
    """For a process that has a tracer. A statement that fails has no span: the one around it says so."""
    system = engine.dialect.name

    @sa.event.listens_for(engine, "before_cursor_execute")
    def begin(_: Any, __: Any, ___: Any, ____: Any, context: Any, _____: Any) -> None:
        context.face128_begun = perf_counter()

    @sa.event.listens_for(engine, "after_cursor_execute")
    def end(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: Any) -> None:
        operation = statement.split(maxsplit=1)[0].upper()
        attributes = {"db.system.name": system, "db.operation.name": operation}
        tracer().past([(operation, context.face128_begun, perf_counter(), -1)], **attributes)
