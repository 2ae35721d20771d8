"""face128.Encoder against POST /encode-image of a real service: the same answers, to the bit, and the same errors."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dlib_truth
import httpx
import numpy as np
import pytest
from PIL import Image
from retail_models import tiny_model
from serving import PHOTOS, photo, serving

import face128
from face128.errors import BadImage, ConfigurationError, Face128Error, InvalidRequest, MultipleFaces, TooLarge
from face128.library.encoder import EncoderSettings
from face128.settings import Settings

ME = "obama-2012.jpg"


@pytest.fixture(scope="module")
def encoder() -> face128.Encoder:
    return face128.Encoder()


def ask(client: httpx.Client, data: bytes, **query: Any) -> Any:
    return client.post("/encode-image", files={"image": data}, params=query).json()


@pytest.mark.parametrize("name", dlib_truth.ALL_PHOTOS)
def test_a_photo_gets_the_services_answer(encoder: face128.Encoder, service: httpx.Client, name: str) -> None:
    expected = ask(service, photo(name), faces="largest", quality="true")
    assert encoder.encode(PHOTOS / name, faces="largest", quality=True).answer() == expected


def test_every_form_of_a_file_is_that_file(encoder: face128.Encoder) -> None:
    data, expected = photo(ME), encoder.encode(PHOTOS / ME).answer()
    for form in (data, bytearray(data), memoryview(data), str(PHOTOS / ME)):
        assert encoder.encode(form).answer() == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_an_image_of_pillow_is_the_file_that_has_its_pixels(
    encoder: face128.Encoder, service: httpx.Client, mode: str
) -> None:
    image = Image.open(io.BytesIO(photo(ME))).convert(mode if mode != "I;16" else "L")
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    file = io.BytesIO()
    image.save(file, "PNG")
    assert encoder.encode(image).answer() == ask(service, file.getvalue())
    if mode == "RGB":
        pixels = np.asarray(image)
        assert encoder.encode(pixels).answer() == encoder.encode(pixels[:, ::-1][:, ::-1]).answer()
        assert encoder.encode(pixels).answer() == encoder.encode(image).answer()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_that_exif_turns_is_upright_in_every_form(encoder: face128.Encoder, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.open(io.BytesIO(photo(ME))).resize((300, 375)).save(file, "PNG", exif=exif)
    expected = encoder.encode(file.getvalue())
    found = encoder.encode(Image.open(file))
    assert found.answer() == expected.answer()


def test_the_options_are_those_of_the_service(encoder: face128.Encoder, service: httpx.Client) -> None:
    assert encoder.encode(photo(ME), num_jitters=3).answer() == ask(service, photo(ME), num_jitters=3)
    mirrored = face128.Encoder(passes="mirror")
    assert mirrored.encode(photo(ME)).answer() == ask(service, photo(ME), passes="mirror")
    for faces in ("largest", "best"):
        expected = ask(service, photo(dlib_truth.TWO_FACE_PHOTO), faces=faces)
        assert encoder.encode(photo(dlib_truth.TWO_FACE_PHOTO), faces=faces).answer() == expected


def test_an_exact_encoder_is_face_recognition_to_the_bit() -> None:
    exact = face128.Encoder(detection="exact", network="dlib")
    for name in dlib_truth.ONE_FACE_PHOTOS[:2]:
        assert exact.encode(PHOTOS / name).descriptor.astype(float).tolist() == dlib_truth.descriptors(name)[0].tolist()


@pytest.fixture(scope="module")
def both_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    model = tiny_model(tmp_path_factory.mktemp("retail"))
    with serving(FACE128_ENGINES="dlib,retail", FACE128_RETAIL_MODEL=str(model)) as client:
        yield client, model


def test_companions_and_other_engines(both_networks: tuple[httpx.Client, Path]) -> None:
    client, model = both_networks
    both = face128.Encoder("dlib", companions=["retail"], retail_model=model)
    expected = ask(client, photo(ME), companions="true")
    assert len(expected["companions"]) == 1
    assert both.encode(photo(ME)).answer() == expected
    retail = face128.Encoder("retail", retail_model=str(model))
    assert retail.encode(photo(ME)).answer() == ask(client, photo(ME), engine="retail")
    assert retail.model == retail.encode(photo(ME)).model != both.model


def damaged(name: str) -> bytes:
    return photo(name)[: len(photo(name)) // 2]


REFUSED = {
    "empty": lambda: b"",
    "text": lambda: b"this is no image",
    "truncated": lambda: damaged(ME),
    "no face": lambda: _png(np.full((200, 200, 3), 90, np.uint8)),
    "two faces": lambda: photo(dlib_truth.TWO_FACE_PHOTO),
}


def _png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("kind", REFUSED)
def test_errors_are_those_of_the_service(encoder: face128.Encoder, service: httpx.Client, kind: str) -> None:
    data = REFUSED[kind]()
    with pytest.raises(Face128Error) as caught:
        encoder.encode(data)
    assert caught.value.body() | {"face_detected": False} == ask(service, data)  # a field of the route


def test_what_is_no_photo_is_refused(encoder: face128.Encoder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        encoder.encode(tmp_path / "missing.jpg")
    for wrong in (np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(BadImage):
            encoder.encode(wrong)
    with pytest.raises(BadImage):
        encoder.encode(Image.open(io.BytesIO(damaged(ME))))
    for nothing in (None, 7, [[1]]):
        with pytest.raises(InvalidRequest):
            encoder.encode(nothing)  # type: ignore[arg-type]
    for options in ({"num_jitters": 0}, {"num_jitters": 101}, {"num_jitters": True}, {"faces": "all"}):
        with pytest.raises(InvalidRequest) as caught:
            encoder.encode(photo(ME), **options)
        assert caught.value.context["field"] in options


def test_limits_hold_for_every_form(tmp_path: Path) -> None:
    small = face128.Encoder(max_image_pixels=10_000, max_image_bytes=1000)
    pixels = np.zeros((101, 100, 3), np.uint8)
    (tmp_path / "large").write_bytes(bytes(1001))
    for large in (pixels, Image.fromarray(pixels), _png(pixels), bytes(1001), tmp_path / "large"):
        with pytest.raises(TooLarge):
            small.encode(large)


@pytest.mark.parametrize(
    ("engine", "options", "named"),
    [
        ("nobody", {}, "nobody"),
        ("dlib", {"companions": ["faceapi"]}, "faceapi"),
        ("faceapi", {"companions": ["dlib"], "faceapi_models": "nowhere"}, "'dlib' is no companion"),
        ("dlib", {"detection": "slow"}, "FACE128_DETECTION"),
        ("dlib", {"speed": "high"}, "FACE128_SPEED"),
    ],
)
def test_an_encoder_that_cannot_be_made_says_why(engine: str, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        face128.Encoder(engine, **options)


def test_its_settings_are_settings_of_the_service() -> None:
    assert set(EncoderSettings.__annotations__) <= set(Settings.model_fields)


def test_what_is_not_given_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_MAX_IMAGE_BYTES", "5")
    with pytest.raises(TooLarge):
        face128.Encoder().encode(photo(ME))
    assert face128.Encoder(max_image_bytes=2**20).encode(photo(ME)).face_count == 1


def test_many_threads_get_the_answers_of_one(encoder: face128.Encoder) -> None:
    names = [*dlib_truth.ONE_FACE_PHOTOS, dlib_truth.TWO_FACE_PHOTO]
    alone = {name: _outcome(encoder, name) for name in names}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: _outcome(encoder, name), names * 4))
    assert together == [alone[name] for name in names * 4]


def _outcome(encoder: face128.Encoder, name: str) -> Any:
    try:
        return encoder.encode(PHOTOS / name).answer()
    except MultipleFaces as error:
        return error.body()


def test_a_result_keeps_no_pixels(encoder: face128.Encoder) -> None:
    with Image.open(PHOTOS / ME) as image:
        pixel_bytes = image.width * image.height * 3
    encoder.encode(PHOTOS / ME)  # what the first photo imports and caches
    tracemalloc.start()
    try:
        kept = [encoder.encode(PHOTOS / ME) for _ in range(2)]
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < pixel_bytes / 4
    assert [each.photo.width for each in kept] == [image.width] * 2
