"""A real service with a console and API keys of several scopes, and clients that are signed in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from serving import photo, started

from face128.api_keys import SCOPES, SCOPES_OF_COLLECTION, key_from_secret

SITE = "site"
"""The collection to which the key "site" is bound."""
ALL = "all"
KEY_SCOPES: dict[str, frozenset[str]] = {
    ALL: frozenset(SCOPES),
    **{scope: frozenset({scope}) for scope in sorted(SCOPES)},
    SITE: frozenset(SCOPES_OF_COLLECTION),
}
"""By the name of each key, what it opens."""
SECRETS = {name: f"the-console-of-{name}-{'x' * 30}" for name in KEY_SCOPES}
TIMEOUT_S = 60


def key_entries() -> str:
    """As FACE128_API_KEYS has them."""
    return ",".join(
        key_from_secret(name, SECRETS[name], "+".join(sorted(scopes)), SITE if name == SITE else None).entry
        for name, scopes in KEY_SCOPES.items()
    )


@dataclass
class Console:
    url: str
    """Without a slash at its end."""
    process: subprocess.Popen[bytes]

    @contextmanager
    def api(self, name: str = ALL) -> Iterator[httpx.Client]:
        """A client of the JSON API that sends a key."""
        headers = {"Authorization": f"Bearer {SECRETS[name]}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S) as client:
            yield client

    @contextmanager
    def client(self, name: str | None = ALL) -> Iterator[httpx.Client]:
        """A client that behaves as a browser does, signed in with the key of this name; None: not signed in.

        It follows no redirects.
        """
        with httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=TIMEOUT_S) as client:
            if name is not None:
                assert sign_in(client, SECRETS[name]).status_code == 303
                assert client.cookies
            yield client

    def enrol(self, user_id: str, *photos: str, name: str | None = None, key: str = ALL, query: str = "") -> None:
        """Enrol a person by photos of fixtures/, over the JSON API."""
        files = [("files", (each, photo(each))) for each in photos]
        with self.api(key) as client:
            path = f"/enroll_faces/{quote(user_id, safe='')}{query}"
            answer = client.post(path, files=files, data={"name": name or f"Name of {user_id}"})
        assert answer.status_code == 200, answer.text


def sign_in(client: httpx.Client, secret: str) -> httpx.Response:
    return client.post("/console/sign-in", data={"key": secret})


@contextmanager
def console_service(*, workers: int = 1, keys: bool = True, **settings: str) -> Iterator[Console]:
    """``face128 serve`` with the dlib engine, the keys and these settings until the block ends. Without ``keys`` it is
    open, as on loopback."""
    if keys:
        settings = {"FACE128_API_KEYS": key_entries(), **settings}
    with started(workers=workers, **settings) as (process, port):
        yield Console(f"http://127.0.0.1:{port}", process)
