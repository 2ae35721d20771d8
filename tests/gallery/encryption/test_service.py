"""A running service on an encrypted gallery: its answers, and what an operator is told of it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from command_line import face128
from encrypted_galleries import files_in, in_clear, in_folder, people_nobody_else_has
from people import enrol
from serving import photo, serving

from face128.gallery.gallery import Gallery
from face128.gallery.storage.tables import faces

PEOPLE = people_nobody_else_has(6)
TEXTS = ["Rahel Varnhagen", "Salon 1806"]


def test_it_answers_and_tells_what_is_wrong(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    with closing(Gallery(place.url)) as gallery:
        enrol(gallery, "0", PEOPLE[0])
    with closing(place.open()) as gallery:
        for number in range(1, 5):
            enrol(gallery, str(number), PEOPLE[number])
        damaged = gallery.page(0, 9)[1][3].face_id
    engine = sa.create_engine(place.url)
    with engine.begin() as connection:
        connection.execute(sa.update(faces).where(faces.c.id == damaged).values(embedding=b"\0" * 540))
    engine.dispose()
    settings = place.settings()
    with serving(workers=2, FACE128_ENGINES="fake", **settings) as service:
        answers = [service.post("/match", json={"descriptor": vector.tolist()}).json() for vector in PEOPLE]
        assert [answer.get("regNo") for answer in answers] == ["0", "1", "2", None, "4", None]
        sent = {"name": TEXTS[0], "metadata": json.dumps({"where": TEXTS[1]})}
        new = service.post("/records", files={"image": photo("obama-2012.jpg")}, data=sent)
        assert new.status_code == 200, new.text
        record_id = new.json()["record"]["id"]
        found = service.get(f"/records/{record_id}").json()
        found = found.get("record", found)
        assert (found["name"], found["metadata"]) == (TEXTS[0], {"where": TEXTS[1]})
        assert service.get("/records").json()["total_count"] == 5
        state = service.get("/ready?details").json()["details"]["encryption"]
        assert state == {
            "faces_in_clear": 1,
            "erased_faces": 0,
            "damaged_faces": 1,
            "damaged": [damaged],
            "next_step": "face128 gallery encrypt",
        }
        assert 'face128_gallery_unreadable_faces{reason="damaged"} 1.0' in service.get("/metrics").text
        done = face128("gallery", "encrypt", **settings)
        assert done.returncode == 0, done.stderr
        answer = service.post("/match", json={"descriptor": PEOPLE[0].tolist()}).json()
        assert answer.get("regNo") == "0", answer
        assert service.delete(f"/records/{record_id}").status_code == 200
    told = face128("gallery", "stats", "--json", **settings)
    assert json.loads(told.stdout)["encryption"]["damaged"] == [damaged]
    assert in_clear(files_in(tmp_path), PEOPLE, TEXTS) == set()
