"""Rewrites the tables that have people's rows: what was deleted or replaced is no longer in the files."""

from __future__ import annotations

from contextlib import closing
from typing import Any

TABLES = ("faces", "companions", "people", "decisions", "reviews", "thumbnails")

STATEMENTS = {
    "sqlite": ("VACUUM",),
    "postgresql": tuple(f"VACUUM (FULL) {table}" for table in TABLES),
    "mysql": (f"OPTIMIZE TABLE {', '.join(TABLES)}",),  # InnoDB makes a new table of each
}


def rewrite(driver: Any, dialect: str, lock_timeout_s: int) -> None:
    """By a connection of the driver, which is not in a transaction. Others wait until it is done.

    It waits for those who use the tables for so long; meanwhile others wait behind it.
    """
    if dialect == "postgresql":
        driver.rollback()
        driver.autocommit = True
    with closing(driver.cursor()) as cursor:
        if dialect in ("mysql", "mariadb"):
            cursor.execute(f"SET lock_wait_timeout = {lock_timeout_s}")
        for statement in STATEMENTS["mysql" if dialect == "mariadb" else dialect]:
            cursor.execute(statement)
            if dialect in ("mysql", "mariadb"):
                cursor.fetchall()
