"""face128 init: asks five questions, writes the settings, and says which commands come first."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from face128.api_keys import key_from_secret, new_secret
from face128.cli.errors import about
from face128.cli.first_settings import FirstSettings, Place
from face128.cli.member_source import MemberSource, check_numbers, check_source
from face128.cli.options import YesOption
from face128.errors import BadRequest
from face128.jobs.files import NEW_FILE_MODE, check_folder, replacing
from face128.terminal.questions import ask, can_ask, confirm
from face128.terminal.speech import ERR, OUT

T = TypeVar("T")

DEFAULT_PORT, DEFAULT_CALLER, NO_KEY = "8000", "backend", "none"
KEY_SCOPES = "match+encode+gallery"  # all but admin, which is for metrics and maintenance

_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


def init(
    photos: Annotated[
        str | None, typer.Option("--photos", metavar="PATH", help="A folder of photos, or a table: CSV or JSON.")
    ] = None,
    numbers: Annotated[
        str | None,
        typer.Option("--numbers", metavar="PATTERN", help="{regNo}_{name}; of a table, regNo=COLUMN,photo=COLUMN."),
    ] = None,
    where: Annotated[Place | None, typer.Option("--where", help="Where the service runs.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="PORT|NAME", help="The port; behind a proxy, its public name.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="CALLER|none", help="Who gets a key; none: nobody needs one.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file of settings.")] = Path("face128.env"),
    yes: YesOption = False,
) -> None:
    """Ask five questions, and write the settings.

    Where are the photos, what are the members' numbers, where does the service run, at which address, and who gets a
    key? An option answers its question beforehand; without a terminal, those that are left out have their defaults. A
    key is shown once: the file has only its hash. Exit status 1 if a file that exists may not be replaced.
    """
    _check_out(out)
    if out.exists() and not confirm(f"{out} exists. Replace it?", yes=yes):
        ERR.say(f"{out} stays as it was.")
        raise typer.Exit(1)
    source = _answer(
        "--photos", photos, "1/5  Where are the members' photos? A folder or a table; Enter if there are none yet.", "",
        check_source,
    )  # fmt: skip
    pattern = _ask_numbers(source, numbers)
    place = _answer(
        "--where", where, "3/5  Where does it run: machine, docker, or proxy (behind a web server)?", "machine", _place
    )
    port, host_name = int(DEFAULT_PORT), ""
    if place == "proxy":
        host_name = _answer(
            "--address", address, "4/5  Under which name is it opened, such as face.example?", "", _host_name
        )
    else:
        port = _answer("--address", address, "4/5  On which port?", DEFAULT_PORT, _free_port)
    caller = _answer(
        "--key",
        key,
        "5/5  Who gets a key? Callers must send it; none if nobody needs one.",
        DEFAULT_CALLER,
        _caller(place),
    )
    secret = new_secret()
    entry = key_from_secret(caller, secret, KEY_SCOPES) if caller else None
    settings = FirstSettings(place, port, host_name, entry, source, pattern)
    _write(out, settings)
    if entry:
        OUT.heading("The key")
        OUT.command(secret)
        OUT.say(f"Give it to {caller} now: it is shown this once, and the file has only its hash.")
    OUT.heading("What comes next")
    for number, (step, command) in enumerate(settings.first_commands(out), start=1):
        OUT.say(f"{number}. {step}")
        OUT.command(command)
    OUT.say(settings.last_words())


def _answer(option: str, given: str | None, question: str, default: str, check: Callable[[str], T]) -> T:
    """The checked answer: the option's, else the person's, else, where nobody can be asked, the default."""
    if given is None and can_ask():
        return ask(question, check, default)
    with about(option):
        return check(default if given is None else given)


def _ask_numbers(source: MemberSource | None, given: str | None) -> str:
    """The pattern of the file names, or the columns of the table; empty if there are no photos yet."""
    if source is None:
        return ""

    def check(answer: str) -> str:
        numbers, found = check_numbers(source, answer)
        ERR.say(found, style="good", indent=2)
        return numbers

    question = "2/5  Which columns are the members' number, name and photo? Enter if their headings are usual."
    if source.is_folder:
        question = "2/5  How are the files named? {regNo} is the member's number."
    return _answer("--numbers", given, question, source.guess_numbers(), check)


def _place(answer: str) -> Place:
    places: dict[str, Place] = {"machine": "machine", "docker": "docker", "proxy": "proxy"}
    if (place := places.get(answer.strip().lower())) is None:
        raise BadRequest(f"Answer {', '.join(places)}.")
    return place


def _free_port(answer: str) -> int:
    if not (answer.isascii() and answer.isdigit() and 1 <= int(answer) <= 65535):
        raise BadRequest("A port is a number from 1 to 65535.")
    port = int(answer)
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except OSError as error:
        raise BadRequest(f"Port {port} cannot be used: {error.strerror or error}. Name another.") from None


def _host_name(answer: str) -> str:
    if not _HOST_NAME.fullmatch(answer):
        raise BadRequest("It is a name without scheme and path, such as face.example.")
    return answer.lower()


def _caller(place: Place) -> Callable[[str], str]:
    def check(answer: str) -> str:
        if answer.strip().lower() == NO_KEY:
            if place == "docker":
                raise BadRequest("In Docker other machines might reach the service: it needs a key.")
            return ""
        try:
            return key_from_secret(answer, new_secret()).name
        except ValueError as error:
            raise BadRequest(str(error)) from None

    return check


def _check_out(out: Path) -> None:
    """Raise BadRequest if the file could not be written, before the questions."""
    if out.is_dir():
        raise BadRequest(f"--out {out} is a folder. Name a file in it: {out / 'face128.env'}")
    check_folder(out.parent)
    if not out.parent.exists():
        raise BadRequest(f"The folder of --out does not exist: {out.parent}")


def _write(out: Path, settings: FirstSettings) -> None:
    if out.exists():
        os.chmod(out, NEW_FILE_MODE)  # it may have been written by hand
    with replacing(out) as file:
        file.write("\n".join([*settings.lines(), ""]))
    ERR.say(f"The settings are in {out}.", style="good")
