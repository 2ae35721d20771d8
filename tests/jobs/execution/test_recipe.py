"""recipe.py: photos described together give the same as each alone, in order, whatever the others are."""

from __future__ import annotations

import io
from itertools import permutations

import dlib_truth
import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128.encoding.encode import FaceChoice, encode
from face128.errors import BadImage, Face128Error, NoFace
from face128.jobs.execution.recipe import MAX_WAITING_PIXELS, DescribedFace, Recipe
from face128.photos.photo import Limits
from face128.settings import Settings


def two(side: int) -> bytes:
    """A small face above a large one; face_recognition finds both."""
    paper = Image.new("RGB", (side, side), "white")
    for name, share, place in (("obama-2010.jpg", 0.47, (0.0, 0.0)), ("biden-2010.jpg", 0.53, (0.47, 0.47))):
        face = Image.open(io.BytesIO(photo(name))).convert("RGB")
        face.thumbnail((int(side * share),) * 2)
        paper.paste(face, (int(side * place[0]), int(side * place[1])))
    file = io.BytesIO()
    paper.save(file, "PNG")
    return file.getvalue()


def pixels(data: bytes) -> int:
    width, height = Image.open(io.BytesIO(data)).size
    return width * height


@pytest.mark.parametrize("choice", ["one", "largest", "best"])
def test_a_group_gives_what_each_photo_gives_alone(choice: FaceChoice) -> None:
    recipe = Recipe.from_settings(Settings(), choice=choice)
    (engine,) = recipe.load()
    group: list[bytes] = [photo("obama-2009.jpg"), two(500), two(1600), b"no photo", photo("hopper-1984.jpg")]
    assert {pixels(data) > MAX_WAITING_PIXELS for data in group if data != b"no photo"} == {True, False}
    alone: list[object] = []
    for data in group:
        try:
            alone.append(encode(engine, data, Limits(), choice).descriptor.tolist())
        except Face128Error as error:
            alone.append((type(error), error.context))
    kinds = [type(outcome) for outcome in alone]
    assert kinds == ([list, tuple, tuple, tuple, list] if choice == "one" else [list, list, list, tuple, list])
    for order in list(permutations(range(len(group))))[::17]:
        outcomes = recipe.describe([group[i] for i in order])
        together = [
            (type(outcome), outcome.context) if isinstance(outcome, Face128Error) else outcome.descriptor.tolist()
            for outcome in outcomes
        ]
        assert together == [alone[i] for i in order]


def test_what_is_no_photo_stays_the_error_that_it_was() -> None:
    recipe = Recipe.from_settings(Settings())
    missing = BadImage("The file is missing.")
    blank = io.BytesIO()
    Image.new("RGB", (90, 90)).save(blank, "PNG")
    first, second, third = recipe.describe([missing, photo("obama-2009.jpg"), blank.getvalue()])
    assert first is missing
    assert isinstance(second, DescribedFace)
    assert np.linalg.norm(second.descriptor - dlib_truth.descriptors("obama-2009.jpg")[0]) < 0.1
    assert isinstance(third, NoFace)
    assert recipe.describe([]) == []
