"""Members and photos whose reports the tests read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from serving import PHOTOS

PEOPLE = {"Biden": ["biden-2010.jpg"], "Collins": ["collins-1999.png"], "Hopper": ["hopper-1984.jpg"]}
PEOPLE["Obama"] = ["obama-2009.jpg", "obama-2010.jpg", "obama-2012.jpg"]
TWINS = ("1029", "Vicky T", 1044, "V. Thomas")
"""One person under two numbers: beyond the threshold, but far nearer than strangers."""


def people_folder(folder: Path) -> Path:
    """A folder for each person of the fixture photos, one of them with a photo without a face."""
    for person, names in PEOPLE.items():
        (folder / person).mkdir(parents=True)
        for name in names:
            (folder / person / name).write_bytes((PHOTOS / name).read_bytes())
    Image.new("RGB", (200, 200), "white").save(folder / "Hopper" / "blank.png")
    (folder / "Hopper" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")  # no photo, and nothing that is left out
    return folder


def labelled_pairs(folder: Path) -> Path:
    """The fixture photos as LFW lays them out, in ``folder / "lfw"``, and a list of pairs; one photo has no face."""
    for person, names in PEOPLE.items():
        (folder / "lfw" / person).mkdir(parents=True)
        for number, name in enumerate(names, start=1):
            (folder / "lfw" / person / f"{person}_{number:04}.jpg").write_bytes((PHOTOS / name).read_bytes())
    Image.new("RGB", (200, 200), "white").save(folder / "lfw" / "Hopper" / "Hopper_0002.jpg")
    lines = ["3", "Obama\t1\t2", "Obama\t1\t3", "Hopper\t1\t2"]
    lines += ["Biden\t1\tObama\t1", "Collins\t1\tHopper\t1", "Biden\t1\tHopper\t1"]
    (folder / "pairs.txt").write_text("\n".join(lines))
    return folder / "pairs.txt"


def strangers(count: int, seed: int = 0) -> np.ndarray:
    """(count, 128): as far from each other as the people of lfw-view1 are, with a nearest other at about 0.6."""
    random = np.random.default_rng(seed)
    return np.array(random.normal(0, 0.058, (count, 128)) + random.normal(0, 0.1, 128))


def member(number: Any, name: str | None, vector: np.ndarray | None) -> dict[str, Any]:
    return {"regNo": number, "name": name, "descriptor": None if vector is None else vector.tolist()}


def members_with_defects(count: int = 60) -> list[dict[str, Any]]:
    """Strangers, and: one person under two numbers (TWINS), one photo under two, a short descriptor, nobody's photo."""
    vectors = strangers(count)
    members = [member(i, f"Member {i}", vector) for i, vector in enumerate(vectors)]
    first, first_name, second, second_name = TWINS
    twin = vectors[0] + np.eye(128)[3] * 0.41
    members += [member(first, first_name, vectors[0]), member(second, second_name, twin)]
    members[0] = member(0, "Somebody Else", strangers(1, seed=1)[0])
    members += [member(300, "The Same", vectors[5]), member(301, "Short", np.ones(5)), member(302, "No Photo", None)]
    return members


def write_members(path: Path, members: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"model": "dlib-resnet-v1", "enrolled": members}))
    return path


def shares(text: str) -> list[float]:
    """The shares that a cell of a table names, in their order."""
    return [float(number) / 100 for number in re.findall(r"([\d.]+) %", text)]
