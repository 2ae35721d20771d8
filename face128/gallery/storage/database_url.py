"""FACE128_DATABASE_URL, and other URLs of databases: which they may name, and the engine for one."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from face128.errors import ConfigurationError
from face128.gallery.storage.server_engine import server_engine
from face128.gallery.storage.sqlite_engine import sqlite_engine
from face128.gallery.storage.statement_spans import trace_statements
from face128.spans import tracer

DRIVERS = {"sqlite": "pysqlite", "mysql": "pymysql", "mariadb": "pymysql", "postgresql": "psycopg"}
SETTING = "FACE128_DATABASE_URL"


def parse_url(url: str, setting: str = SETTING) -> sa.URL:
    """``setting`` is what an error says is wrong."""
    try:
        address = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: the port is no number
        raise ConfigurationError(f"{setting} is not a database URL.") from None
    if address.drivername == "postgres":  # the older name, which hosting platforms still hand out
        address = address.set(drivername="postgresql")
    backend = address.get_backend_name()
    if backend not in DRIVERS:
        raise ConfigurationError(f"{setting} begins with sqlite:///, mysql+pymysql:// or postgresql+psycopg://.")
    return address.set(drivername=f"{backend}+{DRIVERS[backend]}") if address.drivername == backend else address


def make_engine(address: sa.URL, timeout_s: float, lock_timeout_s: float, setting: str = SETTING) -> sa.Engine:
    # Errors would quote the parameters: names and descriptors.
    options = {"hide_parameters": True}
    try:
        if address.get_backend_name() == "sqlite":
            engine = sqlite_engine(address, lock_timeout_s, **options)
        else:
            engine = server_engine(address, timeout_s, lock_timeout_s, **options)
    except sa.exc.ArgumentError:
        raise ConfigurationError(f"{setting} is not a database URL.") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The database needs a package that is not installed: pip install {error.name}"
        ) from None
    if tracer().is_on:
        trace_statements(engine)
    return engine
