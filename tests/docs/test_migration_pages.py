"""The pages in docs/from/: their commands run in their order, on data as the other system keeps it.

Each page asks for a person by a photo that no system had; of two, a service with the gallery that they filled is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import database_servers
import other_systems
import pytest
import sqlalchemy as sa
from markdown_pages import DOCS, FENCE
from paths import ROOT
from serving import environment, photo, serving

PAGES = sorted((DOCS / "from").glob("*.md"))
MAY_END_WITH_1 = ("face128 audit ",)  # something to mend, among a handful of famous people
ON_ONE_PAGE = "face128 calibrate --gallery "  # its plots take seconds, and the lists are of one kind
ASKED = ("compreface", "nestjs")  # descriptors of dlib's pipeline, and of face-api.js's
DOCKER = '#!/bin/sh\nshift 4  # compose exec -T SERVICE\nexec "$@"\n'


@pytest.fixture(scope="module")
def club(postgresql: database_servers.Server) -> database_servers.Server:
    """The server, with the role and the database that the pages name."""
    with sa.create_engine(postgresql.url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("CREATE ROLE postgres SUPERUSER LOGIN")
        connection.exec_driver_sql("CREATE DATABASE club")
    return postgresql


def compreface(folder: Path, server: database_servers.Server) -> dict[str, str]:
    """Its database is ``frs`` in a container: here in the same server, with the dump's copy beside it."""
    database = server.new_database()
    other_systems.compreface(database)
    name = str(sa.make_url(database).database)
    (folder / "bin" / "docker").write_text(DOCKER)
    (folder / "bin" / "docker").chmod(0o755)
    return {"127.0.0.1:5432/frs": f"127.0.0.1:{sa.make_url(server.url).port}/frs", "-Fc frs": f"-Fc {name}"}


def deepface(folder: Path, server: database_servers.Server) -> dict[str, str]:
    other_systems.people_folder(folder / "people")
    database = server.new_database()
    other_systems.deepface(database, folder / "people")
    return {"postgresql://deepface@127.0.0.1:5432/deepface": database}


def faceapi(folder: Path, server: database_servers.Server) -> dict[str, str]:
    other_systems.face_matcher(folder / "matcher.json")
    (folder / "photos").mkdir()
    for name, number in other_systems.NUMBERS.items():
        (folder / "photos" / f"{number}_{name}.jpg").write_bytes(photo(other_systems.PEOPLE[name][0]))
    return {}


def face_recognition(folder: Path, server: database_servers.Server) -> dict[str, str]:
    other_systems.known_people(folder / "known_people")
    return {}


def nestjs(folder: Path, server: database_servers.Server) -> dict[str, str]:
    other_systems.backend(server.url.rpartition("/")[0] + "/club")
    return {}


SYSTEMS: dict[str, Callable[[Path, database_servers.Server], dict[str, str]]] = {
    "compreface": compreface,
    "deepface": deepface,
    "face-api": faceapi,
    "face_recognition": face_recognition,
    "nestjs": nestjs,
}


@pytest.mark.skipif(shutil.which("psql") is None, reason="PostgreSQL's client is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_bring_people_into_a_gallery(
    page: Path, club: database_servers.Server, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    (tmp_path / "probe.jpg").write_bytes(photo(other_systems.NEW_PHOTO))
    replaced = SYSTEMS[page.stem](tmp_path, club)
    address = sa.make_url(club.url)
    paths = [str(tmp_path / "bin"), str(Path(sys.executable).parent), str(database_servers.POSTGRES)]
    gallery = {"FACE128_DATA": str(tmp_path / "data"), "FACE128_THREADS": "1"}
    variables = environment(**gallery) | {
        **{"PGHOST": "127.0.0.1", "PGPORT": str(address.port), "PGUSER": str(address.username)},
        "PATH": os.pathsep.join([*paths, os.environ["PATH"]]),
    }
    for language, block in FENCE.findall(page.read_text()):
        if language not in ("sh", "python") or (block.startswith(ON_ONE_PAGE) and page.stem != "compreface"):
            continue
        for old, new in replaced.items():
            block = block.replace(old, new)
        command = ["bash", "-ec", block] if language == "sh" else [sys.executable, "-c", block]
        run = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=200)
        allowed = (0, 1) if block.startswith(MAY_END_WITH_1) else (0,)
        assert run.returncode in allowed, f"{block}\n{run.stdout}{run.stderr}"
        assert "Traceback" not in run.stderr
        output = [*run.stdout.splitlines(), *run.stderr.splitlines()]
        promised = re.findall(r"^# (.*)$", block, flags=re.MULTILINE)
        assert set(promised) <= set(output), f"{block}\n{run.stdout}{run.stderr}"

    if page.stem not in ASKED:
        return
    with serving(**gallery) as client:
        answer = client.post("/match_face", files={"image": photo(other_systems.NEW_PHOTO)}).json()
    assert (answer["status"], answer["name"]) == ("access_granted", "Barack Obama")


def test_each_page_says_what_comes_along_and_what_does_not() -> None:
    assert {page.stem for page in PAGES} == SYSTEMS.keys()
    for page in PAGES:
        titles = re.findall(r"^## (.*)$", page.read_text(), flags=re.MULTILINE)
        assert {"What comes with you", "Licences"} <= set(titles), page.name
        assert any(re.fullmatch(r"What .* and face128 does not", title) for title in titles), page.name
