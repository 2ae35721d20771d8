"""scaled_copy.py: the copies that are searched."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128.encoding.encode import encode
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.scaled_copy import PHASE_PX, grey_copy
from face128.engines.dlib.weight_files import find_weights
from face128.photos import codecs
from face128.photos.photo import Limits, Photo, open_photo


def portrait(width: int, height: int) -> Image.Image:
    return Image.open(io.BytesIO(photo("obama-2012.jpg"))).resize((width, height), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("size", [(1001, 997), (999, 1003), (1500, 667), (250, 250)])
@pytest.mark.parametrize("scale", [0.1, 0.2, 0.4, 0.7])
def test_a_copy_shows_what_one_made_of_the_whole_photo_shows(size: tuple[int, int], scale: float) -> None:
    image = portrait(*size)
    copy, to_photo = grey_copy(Photo.from_rgb(np.asarray(image)), scale)
    copied = round(size[0] * scale), round(size[1] * scale)
    start = PHASE_PX * size[0] / copied[0], PHASE_PX * size[1] / copied[1]
    wanted = np.asarray(image.convert("L").resize(copied, Image.Resampling.BOX, box=(*start, *size)))
    assert copy.shape == wanted.shape
    assert np.abs(copy - wanted.astype(float)).mean() < 3
    assert np.abs(np.array(to_photo(0, 0)) - start).max() <= 0.5
    assert to_photo(*copied) == size


def test_a_copy_of_a_small_photo_is_made_of_the_photo_itself() -> None:
    image = portrait(250, 250)
    copy, _ = grey_copy(Photo.from_rgb(np.asarray(image)), 0.25, phase_px=0)
    wanted = image.convert("L").resize(copy.shape[::-1], Image.Resampling.BOX)
    assert np.array_equal(copy, np.asarray(wanted))


@pytest.mark.parametrize("name", ["obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg"])
def test_a_jpeg_of_one_megapixel_is_decoded_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.open(io.BytesIO(photo(name))).convert("RGB")
    scale = (1_000_000 / (image.width * image.height)) ** 0.5
    file = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(file, "JPEG", quality=90)
    shrinks, decode = [], codecs.decode
    monkeypatch.setattr(codecs, "decode", lambda *call: shrinks.append(call[-1]) or decode(*call))
    encode(DlibEngine(find_weights()), file.getvalue(), Limits())
    assert shrinks == [1]
    assert open_photo(file.getvalue()).shrinks[-1] == 8
