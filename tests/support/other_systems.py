"""Data as other systems keep it, of the people in fixtures/: what the pages in docs/from/ begin with.

The tables are the columns that CompreFace 1.2.0 and deepface 0.0.103 create, those that nobody reads left out.
"""

from __future__ import annotations

import json
import pickle
import uuid
from pathlib import Path
from typing import Any

import dlib_truth
import numpy as np
import sqlalchemy as sa
from paths import FIXTURES
from serving import photo

from face128.domain.descriptors import from_base64

PEOPLE = {
    "Barack Obama": ("obama-2009.jpg", "obama-2010.jpg"),
    "Joe Biden": ("biden-2010.jpg",),
    "Grace Hopper": ("hopper-1984.jpg",),
}
NUMBERS = {name: number for number, name in enumerate(PEOPLE, start=1029)}
NEW_PHOTO = "obama-2012.jpg"
"""Of the first of them; no system has it."""

COMPREFACE = """
CREATE TABLE app (id bigint PRIMARY KEY, name varchar(255) NOT NULL, guid varchar(36) UNIQUE NOT NULL,
    api_key varchar(36) UNIQUE NOT NULL);
CREATE TABLE model (id bigint PRIMARY KEY, name varchar(255) NOT NULL, guid varchar(36) UNIQUE NOT NULL,
    app_id bigint NOT NULL REFERENCES app (id), api_key varchar(36) UNIQUE NOT NULL, type varchar(1) NOT NULL,
    UNIQUE (name, app_id));
CREATE TABLE subject (id uuid PRIMARY KEY, api_key varchar(36) REFERENCES model (api_key),
    subject_name varchar(255), UNIQUE (api_key, subject_name));
CREATE TABLE img (id uuid PRIMARY KEY, content bytea NOT NULL);
CREATE TABLE embedding (id uuid PRIMARY KEY, subject_id uuid REFERENCES subject (id), embedding float8[] NOT NULL,
    calculator varchar(255) NOT NULL, img_id uuid REFERENCES img (id));
"""
DEEPFACE = """
CREATE TABLE embeddings (id bigserial PRIMARY KEY, img_name text NOT NULL, face bytea NOT NULL,
    face_shape int[] NOT NULL, model_name text NOT NULL, detector_backend text NOT NULL, embedding float8[] NOT NULL);
"""
BACKEND = (
    "CREATE TABLE members (reg_no integer PRIMARY KEY, name text, descriptor text, dlib_descriptor text, photo bytea)"
)


def run(url: str, *statements: str | tuple[str, dict[str, Any]]) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            text, values = statement if isinstance(statement, tuple) else (statement, {})
            connection.execute(sa.text(text), values)
    engine.dispose()


def people_folder(folder: Path) -> None:
    """deepface's ``db_path`` with its own file in it, and LFW's layout: ``person/photo.jpg``."""
    for name, photos in PEOPLE.items():
        (folder / name).mkdir(parents=True)
        for file in photos:
            (folder / name / file).write_bytes(photo(file))
    paths = [str(path) for path in folder.rglob("*.jpg")]
    name = "ds_model_vggface_detector_opencv_aligned_normalization_base_expand_0.npz"
    np.savez(folder / name, identity=paths, embedding=np.full((len(paths), 4096), 0.1))


def known_people(folder: Path) -> None:
    """The folder of face_recognition's own command line: ``Person.jpg``."""
    folder.mkdir()
    for name, photos in PEOPLE.items():
        (folder / f"{name}.jpg").write_bytes(photo(photos[0]))


def compreface(url: str) -> None:
    run(url, *filter(str.strip, COMPREFACE.split(";")))
    fill_compreface(url)


def fill_compreface(url: str) -> None:
    """Two applications with a service of one name, in the other of which each subject's photos show somebody else; and
    the demo, whose faces have no photos.
    """
    services = ("Demo app", "Demo"), ("Club", "Door"), ("Another club", "Door")
    for number, (app, service) in enumerate(services):
        key = str(uuid.uuid4())
        run(
            url,
            ("INSERT INTO app (id, name, guid, api_key) VALUES (:id, :name, :key, :key)", _named(number, app, key)),
            (
                "INSERT INTO model (id, name, guid, app_id, api_key, type) VALUES (:id, :name, :key, :id, :key, 'R')",
                _named(number, service, key),
            ),
        )
        names = list(PEOPLE) if app == "Club" else [*list(PEOPLE)[1:], next(iter(PEOPLE))]
        for name, photos in zip(names, PEOPLE.values(), strict=True):
            subject = uuid.uuid4()
            run(url, ("INSERT INTO subject VALUES (:id, :key, :name)", _named(subject, name, key)))
            for file in photos:
                image = None if service == "Demo" else uuid.uuid4()
                if image:
                    run(url, ("INSERT INTO img VALUES (:id, :content)", {"id": image, "content": photo(file)}))
                values = {"id": uuid.uuid4(), "subject": subject, "numbers": [0.1] * 512, "image": image}
                run(url, ("INSERT INTO embedding VALUES (:id, :subject, :numbers, 'Facenet2018', :image)", values))


def _named(number: object, name: str, key: str) -> dict[str, object]:
    return {"id": number, "name": name, "key": key}


def deepface(url: str, folder: Path) -> None:
    """What ``DeepFace.register`` stores of the photos of a folder."""
    run(url, *filter(str.strip, DEEPFACE.split(";")))
    insert = "INSERT INTO embeddings (img_name, face, face_shape, model_name, detector_backend, embedding) VALUES "
    for path in sorted(folder.rglob("*.jpg")):
        for model in ("VGG-Face", "Facenet512"):
            values = {"name": str(path), "model": model, "numbers": [0.1] * 512}
            run(url, (insert + "(:name, '', '{224,224,3}', :model, 'opencv', :numbers)", values))


def faceapi_descriptor(file: str) -> list[float]:
    """As face-api.js describes the photo in a browser."""
    golden = json.loads((FIXTURES / "faceapi" / "golden.json").read_text())
    numbers: list[float] = from_base64(golden[file]["ssd-canvas"][0]["descriptor"]).tolist()
    return numbers


def backend(url: str) -> None:
    """The members of a NestJS backend: face-api.js's descriptors as JSON, and the photos."""
    run(url, BACKEND)
    for name, photos in PEOPLE.items():
        descriptor = dict(enumerate(faceapi_descriptor(photos[-1])))  # JSON.stringify(Float32Array)
        values = {"no": NUMBERS[name], "name": name, "descriptor": json.dumps(descriptor), "photo": photo(photos[-1])}
        run(url, ("INSERT INTO members VALUES (:no, :name, :descriptor, NULL, :photo)", values))


def face_matcher(file: Path) -> None:
    """What face-api.js's ``FaceMatcher.toJSON`` gives."""
    labelled = [
        {"label": name, "descriptors": [faceapi_descriptor(each) for each in photos]} for name, photos in PEOPLE.items()
    ]
    file.write_text(json.dumps({"distanceThreshold": 0.6, "labeledDescriptors": labelled}))


def encodings_pickle(file: Path) -> None:
    """What many scripts around face_recognition keep: two lists in one pickle."""
    named = [(name, each) for name, photos in PEOPLE.items() for each in photos]
    encodings = [dlib_truth.descriptors(each)[0] for _, each in named]
    file.write_bytes(pickle.dumps({"encodings": encodings, "names": [name for name, _ in named]}))
