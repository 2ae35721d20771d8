"""How a face is cut out for the second network, compared with plain least squares; and what the engines share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dlib_truth import ONE_FACE_PHOTOS
from PIL import Image, ImageOps
from retail_models import real_model, tiny_model
from serving import environment, photo

from face128.encoding.encode import encode
from face128.encoding.passes import with_passes
from face128.engines.base import Engine
from face128.engines.loader import load_engine
from face128.photos.photo import Limits, Photo, open_photo
from face128.settings import Settings

TEMPLATE = ((41.9, 59.3), (84.9, 59.0), (63.6, 91.9))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    settings = Settings(retail_model=tiny_model(tmp_path_factory.mktemp("model")))
    return load_engine("retail", settings), load_engine("dlib", settings)


@pytest.fixture(scope="module")
def retail(engines: tuple[Engine, Engine]) -> Engine:
    return engines[0]


@pytest.fixture(scope="module")
def real() -> Engine:
    return load_engine("retail", Settings(retail_model=real_model()))


def least_squares_chip(pixels: np.ndarray, landmarks: Sequence[tuple[int, int]]) -> np.ndarray:
    """The chip by a similarity that numpy's solver fits: x' = ax - by + c, y' = bx + ay + d."""
    points = np.array(landmarks, float)
    eyes = sorted((points[:2].mean(0), points[2:4].mean(0)), key=lambda eye: float(eye[0]))
    rows, values = [], []
    for (x, y), target in zip((*eyes, points[4]), TEMPLATE, strict=True):
        rows += [(x, -y, 1, 0), (y, x, 0, 1)]
        values += target
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    to_photo = np.linalg.inv([[a, -b, c], [b, a, d], [0, 0, 1]])
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    transform = (centre @ to_photo @ np.linalg.inv(centre))[:2].ravel().tolist()
    image = Image.fromarray(pixels)
    return np.asarray(image.transform((128, 128), Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR))


def the_chip(engine: Engine, data: bytes) -> np.ndarray:
    opened = open_photo(data)
    return engine.crop(opened, engine.detect(opened)[:1])[0]


def jpeg(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def scaled(name: str, width: int) -> Image.Image:
    image = Image.open(BytesIO(photo(name))).convert("RGB")
    return image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("name", ONE_FACE_PHOTOS)
def test_a_chip_is_that_of_least_squares(retail: Engine, name: str) -> None:
    # So small that the photo is used as it is.
    opened = Photo.from_rgb(np.asarray(scaled(name, 300)))
    (face,) = retail.detect(opened)
    chip = retail.crop(opened, [face])[0]
    assert chip.shape == (128, 128, 3)
    assert np.abs(chip.astype(int) - least_squares_chip(opened.rgb(), face.landmarks)).max() <= 1


@pytest.mark.parametrize("name", ONE_FACE_PHOTOS)
def test_dlibs_engine_may_find_the_face(engines: tuple[Engine, Engine], name: str) -> None:
    retail, dlib = engines
    opened = open_photo(photo(name))
    found = dlib.detect(opened)
    chips = retail.crop(opened, found)
    assert np.array_equal(chips, retail.crop(opened, retail.detect(opened)))
    assert np.array_equal(chips[0], the_chip(retail, photo(name)))


@pytest.mark.parametrize("width", [1600, 3200])
def test_a_large_photo_is_averaged_before_it_is_cut_out(retail: Engine, width: int) -> None:
    """Of a photo in which half of the pixels are darker, the chip is that of a photo which is evenly darker."""
    pixels = np.asarray(scaled("obama-2012.jpg", width))
    darker = np.random.default_rng(1).random(pixels.shape[:2]) < 0.5
    speckled = Photo.from_rgb(np.where(darker[..., None], pixels // 2, pixels))
    even = Photo.from_rgb((pixels * 0.75).astype(np.uint8))
    (face,) = retail.detect(even)
    chip = retail.crop(even, [face])[0].astype(int)
    object.__setattr__(face.view, "photo", speckled)
    difference = retail.crop(speckled, [face])[0] - chip
    assert np.abs(difference).mean() < 10  # 21 of single pixels


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_photo_gives_nearly_the_descriptor_of_the_upright_one(real: Engine, degrees: int) -> None:
    image = ImageOps.exif_transpose(Image.open(BytesIO(photo("obama-2012.jpg")))).convert("RGB")
    upright, turned = (encode(real, jpeg(each), Limits()) for each in (image, image.rotate(degrees, expand=True)))
    assert turned.face.adjusted.turned == degrees
    assert 1 - upright.descriptor @ turned.descriptor < 0.05


def test_a_face_at_the_edge_is_black_beyond_it(retail: Engine) -> None:
    image = np.asarray(scaled("obama-2012.jpg", 400))
    opened = Photo.from_rgb(image)
    (face,) = retail.detect(opened)
    middle = (face.box[0] + face.box[2]) // 2
    cut = Photo.from_rgb(np.ascontiguousarray(image[:, : middle + (face.box[2] - middle) * 3 // 4]))
    (face,) = retail.detect(cut)
    chip = retail.crop(cut, [face])[0]
    assert (chip[:, -1] == 0).all()
    assert (chip[:, 64] > 0).any()


def test_two_passes_are_the_mean_of_a_chip_and_its_mirror_image(retail: Engine) -> None:
    opened = open_photo(photo("obama-2012.jpg"))
    chips = retail.crop(opened, retail.detect(opened))
    mean = retail.describe(chips).astype(float) + retail.describe(np.ascontiguousarray(chips[:, :, ::-1]))
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    mirror = with_passes(retail, "mirror")
    assert np.abs(mirror.describe(chips) - expected).max() < 1e-6
    assert mirror.card.pipeline.endswith("/mirror")


def test_photos_of_one_person_are_nearer_than_the_threshold_and_others_are_not(real: Engine) -> None:
    names = ("obama-2009.jpg", "obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg")
    one, same, *others = (encode(real, photo(name), Limits()).descriptor for name in names)
    assert 1 - one @ same < real.card.threshold
    assert all(1 - one @ other > real.card.threshold for other in others)


def test_one_finder_serves_both_engines_and_neither_loads_the_others_network(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path)
    code = """if True:
        import sys
        from face128.engines.loader import load_engine
        from face128.settings import load_settings
        settings = load_settings()
        first = load_engine(settings.engines[0], settings)
        print(sorted(name for name in sys.modules if name in WATCHED))
        if len(settings.engines) > 1:
            print(load_engine(settings.engines[1], settings)._finder is first._finder)
    """
    code = code.replace(
        "WATCHED", "('face128.engines.dlib.engine', 'face128.engines.retail', 'face128.engines.resnet')"
    )
    for names, expected in (
        ("dlib", "['face128.engines.dlib.engine', 'face128.engines.resnet']\n"),
        ("retail", "['face128.engines.retail']\n"),
        ("retail,dlib", "['face128.engines.retail']\nTrue\n"),
    ):
        variables = environment(FACE128_ENGINES=names, FACE128_RETAIL_MODEL=str(folder))
        run = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60)
        assert run.stdout == expected, run.stderr
