"""What has changed is read once for the indexes of photos and of templates, and equals what each reads by itself."""

from __future__ import annotations

import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import encrypted_galleries
import numpy as np
import pytest
import sqlalchemy as sa
from model_mixtures import Mixtures
from people import add_record, enrol, import_document, matched_reg_no, synthetic
from several_models import DLIB, FACEAPI, PAIR, RETAIL

from face128.domain.model_card import find_card, find_card_or_pair
from face128.gallery.gallery import Gallery
from face128.gallery.rows.changed_faces import read_changed
from face128.gallery.rows.space_rows import erased_ids, read_owners, read_vectors
from face128.gallery.rows.statements import current_version
from face128.gallery.rows.stored_space import StoredSpace

Owned = dict[int, tuple[int, int, bool, str]]


def owned(owners: Any) -> Owned:
    columns = (owners.ids, owners.users, owners.names, owners.by_name)
    return {
        face_id: (user, name, by_name, model)
        for face_id, user, name, by_name, model in zip(
            *(column.tolist() for column in columns), owners.models, strict=True
        )
    }


def vectors(batches: Any) -> dict[int, tuple[str, bytes]]:
    return {
        face_id: (name, row.astype(np.float32).tobytes())
        for name, ids, rows in batches
        for face_id, row in zip(ids.tolist(), rows, strict=True)
    }


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("names", [[DLIB], [DLIB, RETAIL]])
def test_it_equals_what_each_index_reads(tmp_path: Path, encrypted: bool, names: list[str]) -> None:
    place = encrypted_galleries.in_folder(tmp_path)
    with closing(place.open() if encrypted else Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")) as gallery:
        mixtures, rng = Mixtures(3), random.Random(3)
        versions = [0]
        for step in range(4):
            members = [
                {
                    "regNo": person,
                    "name": f"P {person % 7}",
                    **mixtures.photos(person, 3, rng.sample(names, len(names)), step),
                }
                for person in rng.sample(range(20), 6)
            ]
            import_document(gallery, json.dumps({"enrolled": members}), force=True)
            add_record(gallery, f"P {step}", synthetic(1, seed=step)[0], force=True)
            if step:
                gallery.erase_user(gallery.page(step, 1)[1][0].person.user_id)
            with gallery.database.reading() as connection:
                versions.append(current_version(connection))
        for card in (find_card(DLIB), find_card(FACEAPI), find_card(RETAIL), find_card_or_pair(PAIR)):
            assert card is not None
            space = StoredSpace.of(card)
            for known in versions:
                with gallery.database.reading() as connection:
                    changed, found = read_changed(connection, space, known, versions[-1])
                    assert vectors(found) == vectors(read_vectors(connection, space, known))
                    assert owned(changed.owners) == owned(read_owners(connection, space, known))
                    assert changed.gone.tolist() == erased_ids(connection, known).tolist()
                if card.name in names:
                    assert bool(found) == (known < versions[-1])


def test_the_next_search_reads_the_new_rows_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    people = synthetic(60, seed=8)
    with closing(Gallery(url, None, "mean")) as gallery, closing(Gallery(url, None, "mean")) as other:
        enrol(other, "0", people[0])
        assert matched_reg_no(gallery, people[0]) == "0"
        statements: list[str] = []

        @sa.event.listens_for(gallery.database._engine, "checkout")
        def trace(connection: Any, *_: object) -> None:
            connection.set_trace_callback(statements.append)

        for number in range(1, 60):
            enrol(other, str(number), people[number], force=True)
        assert matched_reg_no(gallery, people[59]) == "59"
    assert sum("FROM faces" in each and "version >" in each for each in statements) == 1
