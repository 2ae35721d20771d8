"""face-api.js's model files: in one piece and in shards, known and unknown, whole and damaged."""

from __future__ import annotations

import json
import logging
import random
import shutil
from pathlib import Path
from typing import Any

import faceapi_truth
import numpy as np
import pytest

from face128.engines.faceapi.engine import FaceapiEngine
from face128.engines.faceapi.graphs import tiny_face_detector
from face128.engines.faceapi.manifest import KNOWN_SHA256, read_weights
from face128.errors import ConfigurationError
from face128.photos.photo import Photo

TINY = "tiny_face_detector"
MANIFEST = f"{TINY}_model-weights_manifest.json"
BIN = f"{TINY}_model.bin"
RECOGNITION = "face_recognition_model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the models, to be damaged."""
    for path in faceapi_truth.models().iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def write_manifest(folder: Path, groups: Any) -> None:
    (folder / MANIFEST).write_text(json.dumps(groups))


def test_a_tensor_is_its_bytes_times_scale_plus_minimum() -> None:
    entry = json.loads((faceapi_truth.models() / MANIFEST).read_text())[0]["weights"][0]
    stored = np.frombuffer((faceapi_truth.models() / BIN).read_bytes(), np.uint8, 3 * 3 * 3 * 16)
    rule = entry["quantization"]
    expected = (stored.astype(np.float64) * rule["scale"] + rule["min"]).astype(np.float32).reshape(3, 3, 3, 16)
    assert np.array_equal(read_weights(faceapi_truth.models(), TINY).tensor("conv0/filters", 3, 3, 3, 16), expected)


def test_shards_as_face_api_js_0_22_2_has_them_give_the_same_descriptors(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for model in KNOWN_SHA256:
        manifest = folder / f"{model}_model-weights_manifest.json"
        data = (folder / f"{model}_model.bin").read_bytes()
        (folder / f"{model}_model.bin").unlink()
        groups = json.loads(manifest.read_text())
        groups[0]["paths"] = []
        for start in range(0, len(data), 4 * 2**20):
            name = f"{model}_model-shard{len(groups[0]['paths']) + 1}"
            (folder / name).write_bytes(data[start : start + 4 * 2**20])
            groups[0]["paths"].append(name)
        manifest.write_text(json.dumps(groups))
    assert (folder / f"{RECOGNITION}-shard2").exists()
    photo = Photo.from_rgb(faceapi_truth.fixture_pixels("hopper-1984.jpg"))
    for engine in (whole := faceapi_truth.engine(), FaceapiEngine(folder)):
        descriptors = engine.describe(engine.crop(photo, engine.detect(photo)))
        expected = whole.describe(whole.crop(photo, whole.detect(photo)))
        assert np.array_equal(descriptors, expected)
    assert not caplog.records


def test_other_weights_are_taken_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray((folder / BIN).read_bytes())
    data[-1] ^= 1
    (folder / BIN).write_bytes(data)
    with caplog.at_level(logging.WARNING):
        tiny_face_detector(read_weights(folder, TINY))
    assert MANIFEST in caplog.text


@pytest.mark.parametrize("name", [MANIFEST, BIN])
def test_a_missing_file_is_named_without_its_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigurationError, match=name) as error:
        FaceapiEngine(folder, "tiny")
    assert str(folder) not in str(error.value)


@pytest.mark.parametrize("length", [0, 1, 1000, -1])
def test_a_file_that_is_cut_short_is_named(folder: Path, length: int) -> None:
    (folder / BIN).write_bytes((folder / BIN).read_bytes()[:length])
    with pytest.raises(ConfigurationError, match=BIN):
        read_weights(folder, TINY)


def test_a_file_that_goes_on_is_named(folder: Path) -> None:
    (folder / BIN).write_bytes((folder / BIN).read_bytes() + b"\0")
    with pytest.raises(ConfigurationError, match=BIN):
        read_weights(folder, TINY)


def test_a_manifest_cannot_name_a_file_of_another_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / BIN
    shutil.copy(folder / BIN, elsewhere)
    groups = json.loads((folder / MANIFEST).read_text())
    for path in (f"../{elsewhere.parent.name}/{BIN}", str(elsewhere), f"./{BIN}"):
        groups[0]["paths"] = [path]
        write_manifest(folder, groups)
        with pytest.raises(ConfigurationError, match=MANIFEST):
            read_weights(folder, TINY)


def test_the_manifest_of_another_network_is_refused(folder: Path) -> None:
    shutil.copy(folder / "face_landmark_68_model-weights_manifest.json", folder / MANIFEST)
    with pytest.raises(ConfigurationError, match=MANIFEST):
        tiny_face_detector(read_weights(folder, TINY))


@pytest.mark.parametrize("text", ["", "[", "null", "3", "{}", "[{}]", '[{"paths": 1, "weights": []}]', "[" * 100_000])
def test_a_file_that_is_no_manifest_is_named(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ConfigurationError, match=MANIFEST):
        tiny_face_detector(read_weights(folder, TINY))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 3, 3, -16]},
        {"shape": [3, 3, 3, 1e9]},
        {"shape": [2**62, 2**62]},
        {"shape": "3"},
        {"shape": None},
        {"dtype": "string", "quantization": None},
        {"quantization": {"dtype": "uint16", "scale": 1, "min": 0}},
        {"quantization": {"dtype": "uint8", "scale": "x", "min": 0}},
        {"quantization": {"dtype": "uint8", "scale": float("inf"), "min": 0}},
        {"quantization": {"dtype": "uint8"}},
        {"name": ["conv0"]},
    ],
)
def test_a_wrong_entry_of_the_manifest_is_refused(folder: Path, change: dict[str, Any]) -> None:
    groups = json.loads((folder / MANIFEST).read_text())
    groups[0]["weights"][0].update(change)
    write_manifest(folder, groups)
    with pytest.raises(ConfigurationError, match=TINY):
        tiny_face_detector(read_weights(folder, TINY))


def test_no_damage_to_a_manifest_raises_anything_else(folder: Path) -> None:
    text = (folder / MANIFEST).read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(text)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (folder / MANIFEST).write_bytes(damaged)
        try:
            tiny_face_detector(read_weights(folder, TINY))
        except ConfigurationError:
            refused += 1
    assert refused > 100
