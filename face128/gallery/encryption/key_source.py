"""Where the master keys come from: a variable, a file, or the output of a command, which asks a KMS for them.

The keys are never in a message, an error or a log, and neither is what the command says.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import threading
import time
from pathlib import Path

from face128.domain.gallery_keys import parse_gallery_keys
from face128.errors import GalleryLocked
from face128.settings import Settings

log = logging.getLogger("face128")

COMMAND_TIMEOUT_S = 30
COMMAND_PAUSE_S = 5  # after a command that has failed, how long nobody starts it again
MAX_KEY_FILE_BYTES = 4096

_commands: dict[str, list[bytes]] = {}
"""The keys that commands have given: each is run once in a process."""
_failures: dict[str, tuple[float, str]] = {}
_lock = threading.Lock()


def master_secrets(settings: Settings) -> list[bytes]:
    """The master keys that the settings name; none if the gallery is not to be encrypted. Raises GalleryLocked."""
    if settings.gallery_key is not None:
        return parse_gallery_keys(settings.gallery_key.get_secret_value())
    if settings.gallery_key_file is not None:
        return _parsed(_read_file(settings.gallery_key_file), "The file of FACE128_GALLERY_KEY_FILE")
    if settings.gallery_key_command is not None:
        return _from_command(settings.gallery_key_command.get_secret_value())
    return []


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        sentence = f"The file of FACE128_GALLERY_KEY_FILE cannot be read: {error.strerror}."
        raise GalleryLocked(sentence) from None
    return data.decode("ascii", "replace") if len(data) <= MAX_KEY_FILE_BYTES else ""


def _from_command(command: str) -> list[bytes]:
    with _lock:
        if command in _commands:
            return _commands[command]
        failed_at, sentence = _failures.get(command, (-COMMAND_PAUSE_S, ""))
        if time.monotonic() < failed_at + COMMAND_PAUSE_S:
            raise GalleryLocked(sentence)
        try:
            keys = _parsed(_run(command), "The output of FACE128_GALLERY_KEY_COMMAND")
        except GalleryLocked as error:
            _failures[command] = time.monotonic(), str(error)
            log.error("the gallery's key: %s", error)
            raise
        _commands[command] = keys
        return keys


def _run(command: str) -> str:
    name = "The command of FACE128_GALLERY_KEY_COMMAND"
    try:
        arguments = shlex.split(command)
        done = subprocess.run(  # noqa: S603  the operator's own command, without a shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GalleryLocked(f"{name} did not end within {COMMAND_TIMEOUT_S} seconds.") from None
    except (OSError, ValueError, IndexError) as error:
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise GalleryLocked(f"{name} cannot be run{reason}.") from None
    if done.returncode:
        raise GalleryLocked(f"{name} has failed, with the exit status {done.returncode}.")
    return done.stdout.decode("ascii", "replace")


def _parsed(text: str, place: str) -> list[bytes]:
    try:
        return parse_gallery_keys(text)
    except ValueError as error:
        raise GalleryLocked(f"{place} holds no key: {error}.") from None
