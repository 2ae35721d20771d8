"""Every statement on people's rows says of which collection: found by watching all SQL of a life of a gallery."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from collection_statements import watched_statements
from people import add_record, enrol, import_document, synthetic

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.rows.person_lookup import look_up
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.storage.tables import faces
from face128.gallery.transfer.exporting import export_members, statistics


@pytest.mark.parametrize("template", ["nearest", "mean"])
@pytest.mark.parametrize("companions", [False, True])
def test_every_statement_is_about_one_collection(tmp_path: Path, template: str, companions: bool) -> None:
    with watched_statements() as found, closing(Gallery(f"sqlite:///{tmp_path}/g.db", template=template)) as gallery:  # type: ignore[arg-type]
        vectors = synthetic(60)
        for index, vector in enumerate(vectors):
            second = {RETAIL.name: np.random.default_rng(index).normal(size=256).astype(np.float32)}
            face = NewFace(vector, vector.tobytes(), companions=second if companions and index % 2 else {})
            gallery.enrol(Person("Somebody", str(index // 2)), [face], DLIB, force=index % 3 == 0 or bool(index % 2))
        record = add_record(gallery, "Joe Biden", vectors[0], force=True)
        gallery.load()
        for asked in (Probe.of(DLIB, vectors[3]), Probe.of(DLIB, vectors[3], {RETAIL.name: np.ones(256, np.float32)})):
            gallery.search(asked, 5)
            gallery.match(asked, explain=True)
            gallery.recognise(asked, 3, explain=True)
            gallery.match(asked, rule=Rule("cohort", 0.2))
            gallery.verify("3", asked)
        enrol(gallery, "1", vectors[5], replace=True, force=True)
        gallery.page(0, 10)
        list(gallery.walk(7))
        gallery.record(record.id)
        gallery.sizes()
        gallery.collections()
        look_up(gallery, "4")
        statistics(gallery)
        exported = io.StringIO()
        export_members(gallery, exported, DLIB.name)
        import_document(gallery.of_collection("site"), exported.getvalue(), force=True)
        gallery.erase_record(record.id)
        gallery.erase_user("3")
        gallery.rebuild()
        gallery.match(Probe.of(DLIB, vectors[3]))
    assert not found, "\n".join(found)


def test_a_statement_without_a_collection_is_found(tmp_path: Path) -> None:
    """Here the test's own count: what is not the package's is not watched otherwise."""
    from face128.gallery.rows import statements

    with watched_statements() as found, closing(Gallery(f"sqlite:///{tmp_path}/g.db")) as gallery:
        condition = statements.in_collection
        try:
            statements.in_collection = lambda *_, **__: sa.true()  # type: ignore[assignment]
            with gallery.database.reading() as connection:
                statements.count_faces(connection, faces.c.id > 0)
        finally:
            statements.in_collection = condition
    assert len(found) == 1
    assert "statements.py" in found[0]
