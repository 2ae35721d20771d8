"""Which URLs name a database, and the driver of each."""

from __future__ import annotations

import pytest

from face128.errors import ConfigurationError
from face128.gallery.storage.database_url import parse_url


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////srv/gallery.sqlite", "sqlite+pysqlite"),
        ("mysql://u:p@db/face128", "mysql+pymysql"),
        ("mariadb://u:p@db/face128", "mariadb+pymysql"),
        ("postgresql://u:p@db:5432/face128?sslmode=require", "postgresql+psycopg"),
        ("postgres://u:p@db:5432/face128?sslmode=require", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@db/face128", "postgresql+psycopg"),
    ],
)
def test_a_url_without_a_driver_gets_it(url: str, driver: str) -> None:
    address = parse_url(url)
    assert address.drivername == driver
    assert address.render_as_string(hide_password=False).partition("://")[2] == url.partition("://")[2]


@pytest.mark.parametrize("url", ["oracle://u:secret@db/x", "db.example", "postgres+asyncpg://u:secret@db/x"])
def test_another_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database URL|begins with") as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)
