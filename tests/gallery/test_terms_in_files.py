"""Terms in exports and imports, as an operator runs them; consent where it is required."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import face128
from people import add_record, at_distance, enrol, photo_descriptor

from face128.domain.terms import Terms
from face128.gallery.gallery import Gallery
from face128.gallery.people import people

OBAMA, BIDEN, HOPPER = map(photo_descriptor, ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg"))
LATER = datetime(2099, 1, 31)
TEXT = "2099-01-31T00:00:00Z"


def known(url: str) -> dict[str, Terms]:
    with closing(Gallery(url)) as gallery, gallery.database.reading() as connection:
        return people.terms_of(connection, {record.person.user_id for record in gallery.page(0, 100)[1]})


def written(path: Path, members: list[Any]) -> Path:
    path.write_text(json.dumps(members))
    return path


def member(reg_no: Any, descriptor: Any, **more: Any) -> dict[str, Any]:
    return {"regNo": reg_no, "name": f"Name of {reg_no}", "descriptor": descriptor.tolist(), **more}


def test_an_export_has_the_terms_and_an_import_restores_them(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path}/gallery.sqlite"
    with closing(Gallery(database_url)) as gallery:
        enrol(gallery, "44", OBAMA, terms={"expires_at": LATER, "consent": "Formular 44 – unterschrieben"})
        record = add_record(gallery, "Joe Biden", BIDEN)
        enrol(gallery, "45", HOPPER)
        with gallery.database.writing() as connection:
            people.store_terms(connection, record.id, Terms(consent="form 2"))
    expected = {"44": Terms(LATER, "Formular 44 – unterschrieben"), record.id: Terms(None, "form 2")}
    assert known(database_url) == expected
    exported = face128("gallery", "export", tmp_path / "all.json", FACE128_DATABASE_URL=database_url)
    assert exported.returncode == 0, exported.stderr
    copy = f"sqlite:///{tmp_path}/copy.sqlite"
    imported = face128("gallery", "import", tmp_path / "all.json", FACE128_DATABASE_URL=copy)
    assert imported.returncode == 0, imported.stderr
    assert known(copy) == expected
    counts = json.loads(face128("gallery", "stats", FACE128_DATABASE_URL=copy).stdout)
    assert (counts["people"], counts["with_expires_at"], counts["with_consent"]) == (3, 1, 2)
    listed = face128("gallery", "list", "--csv", FACE128_DATABASE_URL=copy).stdout
    rows = {row["regNo"]: row for row in csv.DictReader(listed.lstrip("\ufeff").splitlines())}
    assert (rows["44"]["expires_at"], rows["45"]["consent"], rows[record.id]["consent"]) == (TEXT, "", "form 2")


def test_the_options_of_an_import_are_for_new_members_without_terms(tmp_path: Path) -> None:
    settings = {"FACE128_DATABASE_URL": f"sqlite:///{tmp_path}/gallery.sqlite", "FACE128_REQUIRE_CONSENT": "1"}
    first = written(tmp_path / "1.json", [member(44, OBAMA, consent="form 44")])
    assert face128("gallery", "import", first, **settings).returncode == 0
    more = [member(44, OBAMA), member(45, BIDEN), member(46, HOPPER, consent="form 46", expires_at=None)]
    both = written(tmp_path / "2.json", more)
    refused = face128("gallery", "import", both, **settings)
    assert (refused.returncode, "consent_required" in refused.stderr, "45" in refused.stderr) == (2, True, True)
    assert known(settings["FACE128_DATABASE_URL"]) == {"44": Terms(None, "form 44")}
    told = face128("gallery", "import", both, "--consent", "paper 9", "--expires", TEXT, **settings)
    assert told.returncode == 0, told.stderr
    assert known(settings["FACE128_DATABASE_URL"]) == {
        "44": Terms(None, "form 44"),
        "45": Terms(LATER, "paper 9"),
        "46": Terms(LATER, "form 46"),
    }


@pytest.mark.parametrize(("terms", "field"), [({"expires_at": "tomorrow"}, "expires_at"), ({"consent": 5}, "consent")])
def test_bad_terms_of_a_member_are_named_with_their_place(tmp_path: Path, terms: dict[str, Any], field: str) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    path = written(tmp_path / "1.json", [member(44, OBAMA), member(45, BIDEN, **terms)])
    refused = face128("gallery", "import", path, FACE128_DATABASE_URL=url)
    assert (refused.returncode, f"enrolled[1].{field}" in refused.stderr) == (2, True), refused.stderr
    assert known(url) == {}


@pytest.mark.parametrize(("option", "value"), [("--expires", "2001-01-01T00:00:00Z"), ("--consent", "x" * 501)])
def test_a_bad_option_is_named(tmp_path: Path, option: str, value: str) -> None:
    path = written(tmp_path / "1.json", [member(44, OBAMA)])
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    refused = face128("gallery", "import", path, option, value, FACE128_DATABASE_URL=url)
    assert (refused.returncode, option in refused.stderr) == (2, True)


def test_a_new_photo_of_somebody_whose_time_is_over_needs_another_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    with closing(Gallery(url)) as gallery:
        enrol(gallery, "44", OBAMA, terms={"expires_at": datetime(2026, 1, 1)})
    path = written(tmp_path / "1.json", [member("44", at_distance(OBAMA, 0.1)), member("45", HOPPER)])
    refused = face128("gallery", "import", path, FACE128_DATABASE_URL=url)
    assert (refused.returncode, "is over" in refused.stderr, known(url).keys()) == (2, True, {"44"})
    assert face128("gallery", "import", path, "--expires", TEXT, FACE128_DATABASE_URL=url).returncode == 0
    assert known(url) == {"44": Terms(LATER), "45": Terms(LATER)}
