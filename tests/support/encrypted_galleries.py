"""Encrypted galleries, and what their files hold."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from face128.domain.gallery_keys import new_gallery_key, parse_gallery_keys
from face128.gallery.encryption.keystore import Keystore
from face128.gallery.encryption.master_key import MasterKey
from face128.gallery.encryption.vault import Vault
from face128.gallery.gallery import Gallery

KEY, OTHER_KEY = new_gallery_key(), new_gallery_key()
BLOCK_BYTES = 8  # every 16-byte window of a descriptor has a block of 8 bytes that begins at a multiple of 8
PAGE_BYTES = 4096
DUMP_TIMEOUT_S = 60
HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,}")
CLOCK_TICK_S = 0.05  # of the time in a file's status


@dataclass(frozen=True)
class Place:
    """The databases of a gallery and of its keys."""

    url: str
    keystore_url: str

    def open(self, keys: str | None = KEY, **options: Any) -> Gallery:
        """With these master keys; without a vault for None."""
        vault = None
        if keys is not None:
            masters = [MasterKey(key) for key in parse_gallery_keys(keys)]
            vault = Vault(masters, Keystore(self.keystore_url))
        return Gallery(self.url, vault=vault, **options)

    def settings(self, key: str = KEY) -> dict[str, str]:
        named = {"FACE128_DATABASE_URL": self.url, "FACE128_KEYSTORE_URL": self.keystore_url}
        return named | {"FACE128_GALLERY_KEY": key}


def in_folder(folder: Path) -> Place:
    return Place(f"sqlite:///{folder}/gallery.sqlite", f"sqlite:///{folder}/keys.sqlite")


def people_nobody_else_has(count: int, seed: int = 26) -> npt.NDArray[np.float32]:
    """(count, 128) descriptors of strangers, which no other test stores on the same server."""
    return np.random.default_rng([seed, 1905]).normal(0, 0.1, (count, 128)).astype(np.float32)


def in_clear(files: Iterable[Path], descriptors: npt.NDArray[np.float32], texts: Iterable[str]) -> set[str]:
    """What the files hold of the descriptors ("a descriptor") and of the texts."""
    blocks = np.unique(np.frombuffer(descriptors.tobytes(), "<u8"))
    some = np.zeros(2**16, np.bool_)
    some[blocks & 0xFFFF] = True
    found: set[str] = set()
    for file in files:
        try:
            data = _without_empty_pages(file.read_bytes())
        except FileNotFoundError:  # a server's temporary file
            continue
        found |= {text for text in texts if text.encode() in data}
        for shift in range(BLOCK_BYTES):
            values = np.frombuffer(data[shift : len(data) - (len(data) - shift) % BLOCK_BYTES], "<u8")
            if np.isin(values[some[values & 0xFFFF]], blocks).any():
                found.add("a descriptor")
    return found


def dump(url: str) -> bytes:
    """What the database's own dump writes, and beside it the bytes that stand in it as hexadecimal digits."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(address.database))) as connection:
            text = "\n".join(connection.iterdump()).encode()
    else:
        if address.get_backend_name() == "postgresql":
            command = ["pg_dump", "--dbname", url.replace("+psycopg", "")]
        else:
            where = ["--host", str(address.host), "--port", str(address.port), "--user", str(address.username)]
            command = ["mariadb-dump", "--no-defaults", "--hex-blob", *where, str(address.database)]
        text = subprocess.run(command, capture_output=True, check=True, timeout=DUMP_TIMEOUT_S).stdout
    return text + b"".join(bytes.fromhex(run.decode()) for run in HEXADECIMAL.findall(text))


def _without_empty_pages(data: bytes) -> bytes:
    """A server's files are mostly zeros."""
    if len(data) < 2**20:
        return data
    pages = np.frombuffer(data[: len(data) // PAGE_BYTES * PAGE_BYTES], np.uint8).reshape(-1, PAGE_BYTES)
    return pages[pages.any(axis=1)].tobytes() + data[len(data) // PAGE_BYTES * PAGE_BYTES :]


def files_in(folder: Path, since: float = 0) -> list[Path]:
    """Those that were written since then."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path.stat().st_mtime > since - CLOCK_TICK_S]
