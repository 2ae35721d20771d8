"""A container with little memory serves what fits, and says of the rest that memory is short: no photo is blamed."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pillow_heif
import pytest
from memory_cgroup import limited_memory
from PIL import Image
from serving import PHOTOS, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cgroups need Linux")

MIB = 2**20
Container = tuple[httpx.Client, Callable[[], int]]


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """A face on 11 megapixels, of few colours and even squares: quick to compress. Mode P."""
    with Image.open(PHOTOS / "obama-2009.jpg") as image:
        return image.quantize(64).resize((2400, 4600), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with (
        limited_memory(512 * MIB) as (enter, kills),
        started(prefix=enter) as (_, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client,
    ):
        yield client, kills


def send_twice(client: httpx.Client, image: bytes) -> list[tuple[int, str | None]]:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: client.post("/encode-image", files={"image": image}), range(2)))
    assert all(("retry-after" in answer.headers) == (answer.status_code == 503) for answer in answers)
    return [(answer.status_code, answer.json().get("code")) for answer in answers]


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    if image_format == "HEIF":
        pillow_heif.from_pillow(image).save(file, quality=40, enc_params={"preset": "ultrafast"})
    else:
        image.save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("PNG", {"compress_level": 1}),
        ("WEBP", {"method": 0}),
        ("HEIF", {}),
        ("AVIF", {"speed": 10}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_in_512_mib_two_photos_of_11_megapixels_are_encoded(
    container: Container, portrait: Image.Image, image_format: str, options: dict[str, object]
) -> None:
    client, kills = container
    image = portrait if image_format in ("BMP", "GIF") else portrait.convert("RGB")
    assert send_twice(client, encoded(image, image_format, **options)) == [(200, None)] * 2
    assert kills() == 0


def test_a_photo_that_never_fits_is_too_large_and_the_number_of_pixels_that_fit_is_told(container: Container) -> None:
    client, kills = container
    png = encoded(Image.new("RGB", (8000, 6000), "grey"), "PNG", compress_level=1)
    assert send_twice(client, png) == [(413, "too_large")] * 2
    answer = client.post("/encode-image", files={"image": png}).json()
    assert 11_000_000 < answer["max_pixels"] < 48_000_000
    assert str(answer["max_pixels"]) in answer["error"]
    assert kills() == 0
