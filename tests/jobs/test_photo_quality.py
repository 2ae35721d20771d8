"""The quality of members' photos in a re-encoding, in the gallery that imports it, and in an audit of either."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from command_line import face128
from PIL import Image, ImageFilter
from reencoding import failed, journal
from serving import PHOTOS, photo

from face128.jobs.audit.audit import audit
from face128.jobs.photo_quality import PhotoQualities


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "1_Good.jpg").write_bytes(photo("obama-2012.jpg"))
    poor = Image.open(PHOTOS / "hopper-1984.jpg").convert("RGB").filter(ImageFilter.GaussianBlur(7))
    poor.save(path / "2_Blurred.jpg", quality=95)
    return path


def poor_photos(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(out.with_suffix(".poor.csv").read_text(encoding="utf-8-sig").splitlines()))


def test_a_reencoding_reports_it_a_gallery_keeps_it_and_an_audit_names_the_poor(tmp_path: Path) -> None:
    out = tmp_path / "enrolled.json"
    for _ in range(2):  # the second run has it from the journal
        run = face128("reencode", folder(tmp_path / "photos") if _ == 0 else tmp_path / "photos", "--out", out)
        assert run.returncode == 0, run.stderr
        assert "Quality of the photos: 1 good, 0 fair, 1 poor" in run.stderr
        assert "Hold still, and wipe the lens." in run.stderr
        assert [
            (row["regNo"], row["name"], row["photo"], row["reasons"], row["advice"]) for row in poor_photos(out)
        ] == [("2", "Blurred", "2_Blurred.jpg", "blurred", "Hold still, and wipe the lens.")]
    assert [entry["photo_facts"]["quality"]["verdict"] for entry in journal(out)] == ["good", "poor"]
    data = {"FACE128_DATA": str(tmp_path / "gallery")}
    assert face128("gallery", "import", out, **data).returncode == 0
    assert face128("gallery", "export", tmp_path / "export.json", **data).returncode == 0
    for file in (out, tmp_path / "export.json"):
        audited = face128("audit", file, "--json")
        result = json.loads(audited.stdout)
        assert result["quality"] == {"verdicts": {"good": 1, "poor": 1}, "reasons": {"blurred": 1}}
        (finding,) = [each for each in result["findings"] if each["kind"] == "poor_photo"]
        assert (finding["members"], finding["detail"]) == ([2], "blurred: Hold still, and wipe the lens.")
        assert audited.returncode == 0  # a poor photo is for information
    printed = face128("audit", out).stdout
    assert "Quality of the photos: 1 good, 0 fair, 1 poor" in printed
    assert "Photos of poor quality (1, for your information)" in printed


def test_with_a_bound_a_reencoding_refuses_what_an_enrolment_would(tmp_path: Path) -> None:
    out = tmp_path / "enrolled.json"
    run = face128("reencode", folder(tmp_path / "photos"), "--out", out, FACE128_MIN_QUALITY="fair")
    assert run.returncode == 1
    assert failed(out) == {"2_Blurred.jpg": "poor_quality"}
    assert "wipe the lens" in out.with_suffix(".failed.csv").read_text()
    assert poor_photos(out) == []
    # Without the bound, the second run tries the photo again.
    assert face128("reencode", tmp_path / "photos", "--out", out).returncode == 0


def test_what_anyone_may_have_written_is_not_counted() -> None:
    qualities = PhotoQualities()
    good: dict[str, Any] = {"quality": {"verdict": "fair", "reasons": ["tilted", "no such", 5, ["x"]]}}
    nonsense: list[Any] = [None, 5, [], {}, {"quality": 5}, {"quality": {"verdict": "superb"}}, {"quality": {}}]
    for facts in [*nonsense, good, {"quality": {"verdict": ["poor"]}}]:
        qualities.add(1, None, "", facts)
    assert qualities.to_json() == {"verdicts": {"fair": 1}, "reasons": {"tilted": 1}}


def test_an_audit_reads_any_faces_field() -> None:
    members = [{"regNo": i, "descriptor": None, "faces": faces} for i, faces in enumerate((None, 5, [5], [{}], "x"))]
    members.append({"regNo": 9, "name": 5, "faces": [{"photo_facts": {"quality": {"verdict": "poor"}}}]})
    audited = audit(json.dumps(members).encode())
    assert audited.qualities.to_json() == {"verdicts": {"poor": 1}, "reasons": {}}
    assert [finding.members for finding in audited.findings if finding.kind == "poor_photo"] == [(9,)]
