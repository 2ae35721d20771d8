"""Without its key or its keystore, or with others, an encrypted gallery is refused, and nothing is changed."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest
from command_line import face128
from encrypted_galleries import KEY, OTHER_KEY, Place, in_folder, people_nobody_else_has
from people import enrol, matched_reg_no
from serving import started

from face128.errors import ConfigurationError, GalleryLocked
from face128.gallery.encryption.vault import POOL_KEYS
from face128.gallery.gallery import Gallery
from face128.settings import load_settings

PEOPLE = people_nobody_else_has(4)
SECRETS = (KEY, OTHER_KEY, base64.b64decode(KEY).hex())
WAIT_S = 30


def filled(place: Place) -> None:
    with closing(place.open()) as gallery:
        enrol(gallery, "44", PEOPLE[0])


def refused(place: Place, keys: str | None) -> str:
    with pytest.raises(GalleryLocked) as error:
        place.open(keys)
    return str(error.value)


def test_it_is_opened_by_its_key_alone_on_every_database(place: Place, new_database: Callable[[str], str]) -> None:
    filled(place)
    assert "its key was not given" in refused(place, None)
    assert "is not the one that it was encrypted with" in refused(place, OTHER_KEY)
    kind = place.url.partition(":")[0].partition("+")[0].replace("mysql", "mariadb")
    other = Place(place.url, new_database(kind))
    assert "keystore" in refused(other, KEY)  # an empty one
    stranger = Place(new_database(kind), other.keystore_url)
    filled(stranger)
    assert "not that of this gallery" in refused(other, KEY)
    for keys in (KEY, f"{OTHER_KEY},{KEY}", f"{KEY},{OTHER_KEY}"):
        with closing(place.open(keys)) as gallery:
            assert matched_reg_no(gallery, PEOPLE[0]) == "44"


def test_the_keys_need_another_database_than_the_gallery(sqlite_place: Place) -> None:
    Gallery(sqlite_place.url).close()
    with pytest.raises(ConfigurationError, match="FACE128_KEYSTORE_URL leads to the gallery"):
        Place(sqlite_place.url, sqlite_place.url).open()


def test_a_keystore_that_is_gone_locks_an_open_gallery_too(sqlite_place: Place, tmp_path: Path) -> None:
    filled(sqlite_place)
    with closing(sqlite_place.open()) as gallery:
        gallery.load()
        (tmp_path / "keys.sqlite").rename(tmp_path / "elsewhere")
        with pytest.raises(GalleryLocked):
            gallery.database.check()
        assert gallery.database.vault is not None
        with pytest.raises(GalleryLocked):  # these keys would be kept nowhere
            gallery.database.vault.new_keys(2 * POOL_KEYS)
        (tmp_path / "elsewhere").rename(tmp_path / "keys.sqlite")
        gallery.database.check()
        enrol(gallery, "45", PEOPLE[1])
    assert "put it back" in refused(Place(sqlite_place.url, f"sqlite:///{tmp_path}/gone.sqlite"), KEY)


def test_a_process_without_the_key_notices_that_another_one_encrypts(sqlite_place: Place) -> None:
    with closing(Gallery(sqlite_place.url)) as without:
        enrol(without, "44", PEOPLE[0])
        assert matched_reg_no(without, PEOPLE[0]) == "44"
        with closing(sqlite_place.open()) as gallery:
            enrol(gallery, "45", PEOPLE[1])
        with pytest.raises(GalleryLocked):
            matched_reg_no(without, PEOPLE[0])
        with pytest.raises(GalleryLocked):
            enrol(without, "46", PEOPLE[2])
        with pytest.raises(GalleryLocked):
            without.database.check()


WRONG_SETTINGS = {
    "too short": {"FACE128_GALLERY_KEY": base64.b64encode(b"0123456789").decode()},
    "no key at all": {"FACE128_GALLERY_KEY": "correct horse battery staple"},
    "zeros": {"FACE128_GALLERY_KEY": "0" * 64},
    "one twice": {"FACE128_GALLERY_KEY": f"{KEY},{KEY}"},
    "two sources": {"FACE128_GALLERY_KEY": KEY, "FACE128_GALLERY_KEY_FILE": "/nonexistent"},
    "a server without a keystore": {"FACE128_GALLERY_KEY": KEY, "FACE128_DATABASE_URL": "postgresql://u:p@h/face128"},
    "Milvus": {"FACE128_GALLERY_KEY": KEY, "FACE128_MILVUS_URI": "http://milvus:19530"},
}


@pytest.mark.parametrize("settings", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert "FACE128_" in str(error.value)
    assert not any(value in str(error.value) for value in settings.values())


def test_the_keys_in_hex_in_a_file_and_by_a_command_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("FACE128_DATA", str(tmp_path))
    command = shlex.join([sys.executable, "-c", f"print(open({str(tmp_path / 'key')!r}).read())"])
    for source in ({"KEY": KEY}, {"KEY": SECRETS[2]}, {"KEY_FILE": str(tmp_path / "key")}, {"KEY_COMMAND": command}):
        ((name, value),) = source.items()
        with monkeypatch.context() as patched:
            patched.setenv(f"FACE128_GALLERY_{name}", value)
            with closing(Gallery.from_settings(load_settings())) as gallery:
                enrol(gallery, "44", PEOPLE[0])
                assert matched_reg_no(gallery, PEOPLE[0]) == "44"


FAILING_COMMANDS = {
    "exit status 3": "import sys; print('topsecret', file=sys.stderr); sys.exit(3)",
    "holds no key": "print('topsecret')",
}


@pytest.mark.parametrize("sentence", FAILING_COMMANDS)
def test_a_command_that_gives_no_key_is_told_and_nothing_that_it_said(tmp_path: Path, sentence: str) -> None:
    command = shlex.join([sys.executable, "-c", FAILING_COMMANDS[sentence]])
    done = face128("gallery", "list", FACE128_DATA=str(tmp_path), FACE128_GALLERY_KEY_COMMAND=command)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "gallery_locked" in done.stderr
    assert "topsecret" not in done.stdout + done.stderr


def test_a_service_without_the_key_answers_what_needs_no_gallery(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    filled(place)
    settings = place.settings()
    unset = {name: value for name, value in settings.items() if name != "FACE128_GALLERY_KEY"}
    posted = {"descriptor": [0.0] * 128, "enrolled": [{"regNo": 1, "descriptors": [[0.0] * 128]}]}
    for wrong in ({}, {"FACE128_GALLERY_KEY": OTHER_KEY}):
        with (
            (tmp_path / "log").open("ab") as log,
            started(stderr=log, wait="/health", **unset, **wrong, FACE128_ENGINES="fake") as (process, port),
        ):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
                assert client.get("/records").json()["code"] == "gallery_locked"
                deadline = time.monotonic() + WAIT_S
                while (answer := client.get("/ready")).json()["code"] == "not_ready":
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                assert (answer.status_code, answer.json()["code"]) == (503, "gallery_locked")
                assert client.post("/match", json=posted).json()["regNo"] == 1
            command_lines = [" ".join(p.cmdline()) for p in psutil.Process(process.pid).children(recursive=True)]
            assert not any(secret in line for secret in SECRETS for line in command_lines)
    done = face128("gallery", "stats", **unset)
    assert done.returncode == 2
    assert "gallery_locked" in done.stderr
    done = face128("doctor", **settings, **os.environ)
    told = (tmp_path / "log").read_text() + done.stdout + done.stderr
    assert not any(secret in told for secret in SECRETS)
    assert "encryption" in done.stdout
    with closing(place.open()) as gallery:
        assert matched_reg_no(gallery, PEOPLE[0]) == "44"
        assert json.loads(json.dumps(gallery.details()))["encryption"]["faces_in_clear"] == 0
