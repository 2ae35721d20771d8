"""face128 keys: make API keys, and their entries for FACE128_API_KEYS."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import Annotated

import typer

from face128.api_keys import key_from_secret, new_secret
from face128.errors import BadRequest

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="API keys: make one, or the entry of an existing one."
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The caller: letters, digits, dots, dashes, underscores; in the metrics.")
]
Scopes = Annotated[
    str | None,
    typer.Option("--scopes", help="Some of match+encode+gallery+admin. All by default (a bound key: all but admin)."),
]
Collection = Annotated[
    str | None, typer.Option("--collection", help="Bind the key to this collection: it reaches nobody else's people.")
]


@app.command()
def new(name: Name, scopes: Scopes = None, collection: Collection = None) -> None:
    """Make a new random key.

    It prints the key, and its entry for FACE128_API_KEYS, which holds only the hash of the key.
    """
    secret = new_secret()
    print(f"key    {secret}\nentry  {_entry(name, secret, scopes, collection)}", flush=True)
    print("Give the key to its caller: it is stored nowhere. Add the entry to FACE128_API_KEYS.", file=sys.stderr)


@app.command("hash")
def hash_existing(name: Name, scopes: Scopes = None, collection: Collection = None) -> None:
    """Print the entry of a key that callers already have.

    The key is read from standard input; on a terminal it is asked for, and not shown.
    """
    try:
        line = getpass("The key (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
        secret = line.strip().encode("utf-8").decode()  # a locale may let other bytes through
    except UnicodeError:
        raise BadRequest("The key on standard input is not in UTF-8.") from None
    if not secret:
        raise BadRequest("There is no key on standard input: face128 keys hash NAME < file")
    print(_entry(name, secret, scopes, collection))


def _entry(name: str, secret: str, scopes: str | None, collection: str | None) -> str:
    try:
        return key_from_secret(name, secret, scopes, collection).entry
    except ValueError as error:
        raise BadRequest(str(error)) from None
