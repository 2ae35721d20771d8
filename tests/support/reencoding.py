"""Folders of photos for face128 reencode, and readers of what it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from PIL import Image
from serving import PHOTOS


def crops(folder: Path, count: int) -> Path:
    """A folder with ``count`` different photos: crops of a real one."""
    image = Image.open(PHOTOS / "obama-2010.jpg").convert("RGB")
    image.thumbnail((400, 400))
    folder.mkdir()
    for i in range(count):
        image.crop((i % 20, i // 20, image.width - 20, image.height - 40)).save(folder / f"{i}_Member {i}.jpg")
    return folder


def journal(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.with_suffix(".journal.jsonl").read_text().splitlines() if line]


def failed(out: Path) -> dict[str, str]:
    rows = csv.DictReader(out.with_suffix(".failed.csv").read_text(encoding="utf-8-sig").splitlines())
    return {row["photo"]: row["code"] for row in rows if row["advice"]}
