"""face128 keys: make API keys, and the entries by which the service knows them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from face128 import api_keys

app = typer.Typer(no_args_is_help=True, help="API keys: make one, or the entry of one that there is.")

Name = Annotated[str, typer.Argument(help="Whose key it is: letters, digits, dots, dashes. It stands in the metrics.")]
Scopes = Annotated[
    str | None, typer.Option("--scopes", help="What it opens: some of match+encode+gallery+admin. All by default.")
]


@app.command()
def new(name: Name, scopes: Scopes = None) -> None:
    """Print a new random key, this once, and the entry for FACE128_API_KEYS, which holds only its hash."""
    with _told():
        secret, key = api_keys.draw(name, scopes)
    print(f"key    {secret}\nentry  {key.entry}")
    print("Give the key to its caller: it is kept nowhere. Add the entry to FACE128_API_KEYS.", file=sys.stderr)


@app.command("hash")
def hash_secret(name: Name, scopes: Scopes = None) -> None:
    """Read a key from standard input, and print its entry: for a secret that callers have already."""
    secret = sys.stdin.readline().strip()
    with _told():
        if not secret:
            raise ValueError("No key came on standard input: face128 keys hash NAME < file")
        print(api_keys.describe(name, secret, scopes).entry)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what is wrong into one sentence on stderr and exit status 2."""
    try:
        yield
    except ValueError as error:
        print(f"face128: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
