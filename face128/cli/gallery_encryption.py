"""face128 gallery encrypt, rekey and new-key."""

from __future__ import annotations

from typing import Any

from face128.cli.open_gallery import open_gallery
from face128.domain.gallery_keys import new_gallery_key
from face128.terminal.progress import Progress
from face128.terminal.speech import OUT, plural


def new_key() -> None:
    """Print a new key for FACE128_GALLERY_KEY.

    Keep it where neither the gallery's backups nor the keystore's are: without it nobody can read the gallery.
    """
    print(new_gallery_key())


def encrypt() -> None:
    """Encrypt the faces that are still in clear, of all collections, beside running services.

    A command that was stopped goes on where it was. At the end the database's files are rewritten; changes wait
    meanwhile.
    """
    from face128.gallery.encryption.encrypting import count_faces_in_clear
    from face128.gallery.encryption.encrypting import encrypt as encrypt_gallery

    with open_gallery() as gallery, Progress("encrypt", count_faces_in_clear(gallery.database)) as progress:
        done = encrypt_gallery(gallery.database, progress.advance)
    OUT.say(f"{plural(done, 'face')} encrypted; none is in clear any more.")


def rekey() -> None:
    """Wrap all keys of the keystore by the first key of FACE128_GALLERY_KEY.

    Name the new key and the old one, separated by a comma, restart all services, then run this. After that the old one
    can go.
    """
    from face128.gallery.encryption.encrypting import keys_to_wrap
    from face128.gallery.encryption.encrypting import rekey as rekey_gallery

    with open_gallery() as gallery, Progress("rekey", keys_to_wrap(gallery.database)) as progress:
        done = rekey_gallery(gallery.database, progress.advance)
    OUT.say(f"{plural(done, 'key')} wrapped anew; the first key opens all of them.")


def print_state(state: dict[str, Any]) -> None:
    """What of an encrypted gallery is not as it should be."""
    in_clear, erased, damaged = (state[name] for name in ("faces_in_clear", "erased_faces", "damaged_faces"))
    if not (in_clear or erased or damaged):
        OUT.say("All of it is encrypted.")
    if in_clear:
        OUT.say(f"{plural(in_clear, 'face')} not encrypted yet: {state['next_step']}", style="bad")
    if erased:
        OUT.say(f"{plural(erased, 'face')} left out: a backup has brought back people who were erased.")
    if damaged:
        named = ", ".join(map(str, state["damaged"]))
        OUT.say(f"{plural(damaged, 'face')} left out, since a bit of each was changed: {named}", style="bad")
