"""face128 reencode as an operator runs it: every kind of photo, a second run, kill -9, a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dlib_truth
import httpx
import numpy as np
import pillow_heif
import pytest
from command_line import face128
from forked_command import forked
from PIL import Image
from reencoding import crops, failed, journal
from serving import PHOTOS, environment, photo

from face128.domain.descriptors import from_base64


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    """A list with every kind of photo that the real world has."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(photo("obama-2012.jpg"))
    (folder / "corrupt.jpg").write_bytes(photo("obama-2012.jpg")[:9000])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo at all")
    Image.open(PHOTOS / "biden-2010.jpg").crop((0, 0, 150, 60)).save(folder / "faceless.jpg")
    faces = [Image.open(PHOTOS / name).resize((400, 500)) for name in dlib_truth.ONE_FACE_PHOTOS[2:5]]
    three = Image.new("RGB", (1200, 500))
    for i, face in enumerate(faces):
        three.paste(face, (400 * i, 0))
    three.save(folder / "three.jpg")
    heif = pillow_heif.from_pillow(Image.open(PHOTOS / "hopper-1984.jpg").convert("RGB"))
    heif.save(folder / "phone.heic", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side: to be turned clockwise
    phone = Image.open(PHOTOS / "obama-2009.jpg").convert("RGB").resize((3000, 4000))
    phone.transpose(Image.Transpose.ROTATE_90).save(folder / "lying.jpg", exif=exif)
    names = [*sorted(path.name for path in folder.iterdir()), "missing.jpg"]
    (folder / "list.json").write_text(json.dumps([{"regNo": n, "name": n, "photo": n} for n in names]))
    return folder / "list.json"


def test_each_photo_that_fails_is_reported_with_its_code_and_all_others_are_encoded(hard: Path, tmp_path: Path) -> None:
    out = tmp_path / "enrolled.json"
    run = face128("reencode", hard, "--out", out)
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert failed(out) == {
        "corrupt.jpg": "bad_image",
        "empty.jpg": "bad_image",
        "faceless.jpg": "no_face",
        "missing.jpg": "not_found",
        "text.jpg": "unsupported_format",
        "three.jpg": "multiple_faces",
    }
    described = {m["regNo"] for m in json.loads(out.read_text())["enrolled"] if m["descriptor"] is not None}
    assert described == {"good.jpg", "phone.heic", "lying.jpg"}


def test_match_takes_the_file_as_it_is(service: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "1029").mkdir(parents=True)
    for name in ("obama-2009.jpg", "obama-2010.jpg"):
        (folder / "1029" / name).write_bytes(photo(name))
    (folder / "1030_Joe Biden.jpg").write_bytes(photo("biden-2010.jpg"))
    out = tmp_path / "enrolled.json"
    assert face128("reencode", folder, "--out", out).returncode == 0
    body = json.loads(out.read_text())
    served = [
        service.post("/encode-image", files={"image": photo(name)}).json()["descriptor"]
        for name in dlib_truth.ONE_FACE_PHOTOS
    ]
    by_name = dict(zip(dlib_truth.ONE_FACE_PHOTOS, served, strict=True))
    facts = [face["photo_facts"] for member in body["enrolled"] for face in member.pop("faces")]
    assert [fact["quality"]["verdict"] in ("good", "fair", "poor") for fact in facts] == [True] * 3
    assert body["enrolled"] == [
        {"regNo": 1029, "name": None, "descriptors": [by_name["obama-2009.jpg"], by_name["obama-2010.jpg"]]},
        {"regNo": 1030, "name": "Joe Biden", "descriptor": by_name["biden-2010.jpg"]},
    ]
    answer = service.post("/match", json=body | {"descriptor": by_name["obama-2012.jpg"]}).json()
    assert answer == {"regNo": 1029, "name": None}


def test_a_second_run_encodes_only_what_is_new_or_changed(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 5), tmp_path / "enrolled.json"
    first = face128("reencode", folder, "--out", out, "--engine", "fake")
    assert "5 encoded now" in first.stderr
    before = out.read_bytes()
    assert "0 encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake").stderr
    assert out.read_bytes() == before
    (folder / "1_Member 1.jpg").write_bytes(photo("hopper-1984.jpg"))
    (folder / "9_New.jpg").write_bytes(photo("biden-2010.jpg"))
    assert "2 encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake").stderr
    members = json.loads(out.read_text())["enrolled"]
    assert [member["regNo"] for member in members] == [0, 1, 2, 3, 4, 9]
    old = json.loads(before)["enrolled"]
    assert [members[i] == old[i] for i in range(5)] == [True, False, True, True, True]


def test_photos_at_urls_are_fetched_and_a_kind_that_nobody_knows_fails_alone(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 2), tmp_path / "enrolled.json"
    urls = [(folder / f"{i}_Member {i}.jpg").as_uri().replace("%20", " ") for i in (0, 1)]
    urls += [f"{urls[0]}.missing", "nonsense://bucket/2.jpg"]
    (tmp_path / "list.json").write_text(json.dumps([{"regNo": i, "photo": url} for i, url in enumerate(urls)]))
    assert "2 encoded now" in face128("reencode", tmp_path / "list.json", "--out", out, "--engine", "fake").stderr
    assert failed(out) == {urls[2]: "not_found", urls[3]: "bad_request"}


def test_a_photo_that_was_too_large_is_tried_again_and_one_without_a_face_is_not(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 2), tmp_path / "enrolled.json"
    Image.new("RGB", (20, 20), "white").save(folder / "8_Nobody.png")
    command = ("reencode", folder, "--out", out, "--engine", "fake")
    face128(*command, FACE128_MAX_IMAGE_PIXELS="1000")
    assert failed(out) == {"0_Member 0.jpg": "too_large", "1_Member 1.jpg": "too_large", "8_Nobody.png": "no_face"}
    assert "2 encoded now, 1 failed" in face128(*command).stderr
    assert [line["photo"] for line in journal(out)].count("8_Nobody.png") == 1


def test_another_way_of_encoding_encodes_everything_again(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 3), tmp_path / "enrolled.json"
    face128("reencode", folder, "--out", out, "--engine", "fake")
    assert "3 encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake", "--faces", "largest").stderr


def test_passes_are_in_the_pipeline_of_the_file_and_of_the_journal(service: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1_Barack Obama.jpg").write_bytes(photo("obama-2012.jpg"))
    served = service.post("/encode-image?passes=mirror", files={"image": photo("obama-2012.jpg")}).json()["descriptor"]
    out = tmp_path / "enrolled.json"
    runs: list[tuple[list[str], dict[str, str], int]] = [
        (["--passes", "mirror"], {}, 1),
        ([], {"FACE128_PASSES": "mirror"}, 1),  # the same: nothing to do
        (["--passes", "one"], {"FACE128_PASSES": "mirror"}, 2),
    ]
    for options, settings, described in runs:
        run = face128("reencode", folder, "--out", out, *options, **settings)
        assert run.returncode == 0, run.stderr
        assert len(journal(out)) == described
        body, mirror = json.loads(out.read_text()), "one" not in options
        assert body["pipeline"].endswith("/mirror") == mirror
        assert (body["enrolled"][0]["descriptor"] == served) == mirror


def test_tilted_heads_are_reported_under_a_bound_and_the_bound_may_change(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "enrolled.json"
    folder.mkdir()
    upright = Image.open(PHOTOS / "obama-2012.jpg")
    for name, degrees in (("1_Upright", 0), ("2_Tilted", 20)):
        upright.rotate(-degrees, Image.Resampling.BICUBIC).save(folder / f"{name}.jpg", quality=95)
    run = face128("reencode", folder, "--out", out, FACE128_MAX_ROLL="12")
    assert (run.returncode, failed(out)) == (1, {"2_Tilted.jpg": "head_tilted"})
    assert [member["descriptor"] is None for member in json.loads(out.read_text())["enrolled"]] == [False, True]
    assert face128("reencode", folder, "--out", out).returncode == 0
    assert failed(out) == {}
    assert face128("reencode", folder, "--out", out, FACE128_MAX_ROLL="12").returncode == 1
    assert failed(out) == {"2_Tilted.jpg": "head_tilted"}


def test_killed_at_ten_random_moments_it_ends_with_the_same_file_and_encodes_nothing_twice(tmp_path: Path) -> None:
    folder, whole, out = crops(tmp_path / "photos", 480), tmp_path / "whole.json", tmp_path / "enrolled.json"
    assert face128("reencode", folder, "--out", whole, "--engine", "fake").returncode == 0
    command = [sys.executable, "-m", "face128", "reencode", str(folder), "--out", str(out), "--engine", "fake"]
    moments = random.Random(6)
    path = out.with_suffix(".journal.jsonl")
    for _ in range(10):
        size = path.stat().st_size if path.exists() else 0
        with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (not path.exists() or path.stat().st_size == size):
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        assert not out.exists(), "all was done before the tenth kill: more photos are needed"
    killed_at = len(journal(out))
    assert face128("reencode", folder, "--out", out, "--engine", "fake").returncode == 0
    assert 0 < killed_at < 480
    assert out.read_bytes() == whole.read_bytes()
    photos = [line["photo"] for line in journal(out)]
    assert len(photos) == len(set(photos)) == 480


def test_a_torn_line_is_encoded_again_and_spoils_no_other(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 4), tmp_path / "enrolled.json"
    face128("reencode", folder, "--out", out, "--engine", "fake")
    before, path = out.read_bytes(), out.with_suffix(".journal.jsonl")
    path.write_bytes(path.read_bytes()[:-300])
    assert "1 encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake").stderr
    assert out.read_bytes() == before
    assert "0 encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake").stderr


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 12), tmp_path / "enrolled.json"
    command = [sys.executable, "-m", "face128", "reencode", str(folder), "--out", str(out), "--engine", "fake"]
    limited = ["bash", "-c", 'ulimit -f 5; exec "$@"', "-", *command]  # files of at most 5 KiB
    run = subprocess.run(limited, env=environment(), capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert not out.exists()
    done = out.with_suffix(".journal.jsonl").read_bytes().count(b"\n")
    assert 0 < done < 12
    assert f"{12 - done} encoded now" in face128("reencode", folder, "--out", out, "--engine", "fake").stderr
    assert len(json.loads(out.read_text())["enrolled"]) == 12


def test_the_journal_holds_the_very_descriptor(tmp_path: Path) -> None:
    out = tmp_path / "enrolled.json"
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1_Grace Hopper.jpg").write_bytes(photo("hopper-1984.jpg"))
    face128("reencode", folder, "--out", out)
    (line,) = journal(out)
    (member,) = json.loads(out.read_text())["enrolled"]
    assert from_base64(str(line["descriptor"])).tolist() == member["descriptor"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """What an earlier run has written."""
    out = tmp_path / "enrolled.json"
    run = forked(tmp_path, "reencode", crops(tmp_path / "photos", 2), "--out", out, "--engine", "fake")
    assert run.returncode == 0, run.stderr
    return out


def test_a_run_without_photos_leaves_the_members_of_an_earlier_run(good: Path, tmp_path: Path) -> None:
    """An empty folder, an empty list, names that do not match, photos that are gone: a disk was not mounted."""
    before = {path: path.read_bytes() for path in tmp_path.glob("enrolled.*")}
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "unnamed").mkdir()
    (tmp_path / "unnamed" / "holiday.jpg").write_bytes(photo("obama-2012.jpg"))
    for members in ("empty", "none.json", "unnamed"):
        run = forked(tmp_path, "reencode", members, "--out", good, "--engine", "fake")
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run
        assert {path: path.read_bytes() for path in tmp_path.glob("enrolled.*")} == before
    (tmp_path / "gone.json").write_text('[{"regNo": 0, "photo": "photos/gone.jpg"}]')
    run = forked(tmp_path, "reencode", "gone.json", "--out", good, "--engine", "fake")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run
    assert good.read_bytes() == before[good]
    assert failed(good) == {"photos/gone.jpg": "not_found"}


def test_the_output_replaces_neither_the_input_nor_another_kind_of_file(good: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('[{"regNo": 1, "photo": "photos/0_Member 0.jpg"}]')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    for members, out in (
        ("list.json", "list.json"),
        ("enrolled.failed.csv", "enrolled.json"),
        ("photos", "list.json"),
        ("photos", "photos/0_Member 0.jpg"),
    ):
        run = forked(tmp_path, "reencode", members, "--out", out, "--engine", "fake")
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run
    assert {path: path.read_bytes() for path in before} == before


def test_the_output_may_be_among_the_photos(tmp_path: Path) -> None:
    folder = crops(tmp_path / "photos", 2)
    for number in ("2", "0"):
        run = forked(tmp_path, "reencode", folder, "--out", folder / "9_enrolled.json", "--engine", "fake")
        assert (run.returncode, f"{number} encoded now, 0 failed" in run.stderr) == (0, True), run.stderr


def test_a_file_whose_name_is_not_utf_8_is_reported_and_the_others_are_encoded(tmp_path: Path) -> None:
    folder, out = crops(tmp_path / "photos", 1), tmp_path / "enrolled.json"
    (folder / os.fsdecode("9_Müller.jpg".encode("latin-1"))).write_bytes(photo("obama-2012.jpg"))
    assert forked(tmp_path, "reencode", folder, "--out", out, "--engine", "fake").returncode == 1
    assert [member["regNo"] for member in json.loads(out.read_text(encoding="utf-8"))["enrolled"]] == [0]
    assert failed(out) == {"9_M\\udcfcller.jpg": "invalid_request"}


def test_with_templates_a_member_has_one_descriptor_and_a_foreign_photo_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "members"
    (folder / "7").mkdir(parents=True)
    for name in ("obama-2009.jpg", "obama-2010.jpg", "obama-2012.jpg", "hopper-1984.jpg"):
        (folder / "7" / name).write_bytes(photo(name))
    (folder / "8_Joe.jpg").write_bytes(photo("biden-2010.jpg"))
    singly, by_mean = tmp_path / "singly.json", tmp_path / "mean.json"
    assert face128("reencode", folder, "--out", singly).returncode == 0
    run = face128("reencode", folder, "--out", by_mean, "--template", "mean")
    assert run.returncode == 1, run.stderr
    assert failed(by_mean) == {"7/hopper-1984.jpg": "inconsistent_person"}
    several, means = (
        {member["regNo"]: member for member in json.loads(file.read_text())["enrolled"]} for file in (singly, by_mean)
    )
    assert means.keys() == several.keys()
    photos = [several[7]["descriptors"][place] for place in (1, 2, 3)]  # in the order of their names
    wanted = [float(np.float32((a + b + c) / 3)) for a, b, c in zip(*photos, strict=True)]
    assert means[7]["descriptor"] == wanted
    assert means[8] == several[8]
