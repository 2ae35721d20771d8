"""face128 models: what is added, and what must not be."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from command_line import face128
from retail_models import STEM, real_model, tiny_model
from serving import PHOTOS

from face128.cli.models import add
from face128.errors import Face128Error

XML, BIN = f"{STEM}.xml", f"{STEM}.bin"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def checksums(folder: Path) -> list[str]:
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (XML, BIN)]
    return [word for digest in digests for word in ("--sha256", digest)]


def added(data: Path) -> list[str]:
    """What is in FACE128_DATA, whole or in part."""
    return sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())


def test_files_with_their_checksums_are_added_and_used(tmp_path: Path, model: Path) -> None:
    data = tmp_path / "data"
    settings = {"FACE128_DATA": str(data)}
    run = face128("models", "add", "retail", model / XML, *checksums(model), **settings)
    assert run.returncode == 0, run.stderr
    assert added(data) == [f"models/retail/{name}" for name in (BIN, XML)]
    for path in (data, *data.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    name = f"retail-{checksums(model)[3][:8]}"
    assert f"{name}, not in FACE128_ENGINES" in face128("models", "list", **settings).stdout
    encoded = face128("encode", "--engine", "retail", PHOTOS / "obama-2012.jpg", **settings)
    assert json.loads(encoded.stdout)["model"] == name
    assert f"ok  retail       {name}, hog-fast5" in face128("doctor", **settings).stdout


def test_the_known_files_need_no_checksum(tmp_path: Path) -> None:
    assert "no second network" in face128("models", "list", FACE128_DATA=str(tmp_path)).stdout
    run = face128("models", "add", "retail", real_model(), FACE128_DATA=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("retail-0095 is in ")
    listed = face128("models", "list", FACE128_DATA=str(tmp_path), FACE128_ENGINES="dlib,retail").stdout
    assert "retail-0095, in use" in listed
    assert "VGGFace2" in listed


def test_another_model_takes_the_place_of_the_first_and_a_wrong_one_does_not(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_model(tmp_path / "other", seed=1)
    data = tmp_path / "data"
    monkeypatch.setenv("FACE128_DATA", str(data))
    for folder in (model, other):
        add("retail", str(folder), checksums(folder)[1::2])
        kept = (folder / BIN).read_bytes()
        assert (data / "models" / "retail" / BIN).read_bytes() == kept
    with pytest.raises(Face128Error, match=checksums(model)[3]):
        add("retail", str(model))
    with pytest.raises(Face128Error, match="0" * 64):
        add("retail", str(model), [*checksums(model)[1::2], "0" * 64])
    # With the right checksums, but no network.
    (other / BIN).write_bytes(b"no weights")
    for folder, given in ((other, None), (other, checksums(model)), (other, checksums(other)), (other / "none", None)):
        with pytest.raises(Face128Error) as refusal:
            add("retail", str(folder), given and given[1::2])
        assert "\n" not in str(refusal.value)
    assert len(added(data)) == 2
    assert (data / "models" / "retail" / BIN).read_bytes() == kept
