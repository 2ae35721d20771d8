"""The original service's contract over real HTTP: /match and /encode-image."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dlib_truth
import httpx
import numpy as np
import pytest
from PIL import Image, ImageOps
from serving import photo, serving


@pytest.fixture(scope="module")
def exact_service() -> Iterator[httpx.Client]:
    with serving(FACE128_NETWORK="dlib", FACE128_DETECTION="exact") as client:
        yield client


def send(client: httpx.Client, image: bytes, **query: str) -> httpx.Response:
    return client.post("/encode-image", files={"image": ("photo", image)}, params=query)


@pytest.mark.parametrize("name", dlib_truth.ONE_FACE_PHOTOS)
def test_encode_image_is_bit_identical_to_face_recognition(exact_service: httpx.Client, name: str) -> None:
    answer = send(exact_service, photo(name))
    assert answer.status_code == 200
    assert answer.json()["descriptor"] == dlib_truth.descriptors(name)[0].tolist()
    assert answer.json()["model"] == "dlib-resnet-v1"
    assert answer.json()["face_count"] == 1


@pytest.mark.parametrize("name", dlib_truth.ONE_FACE_PHOTOS)
def test_the_default_settings_stay_close_to_face_recognition(service: httpx.Client, name: str) -> None:
    descriptor = send(service, photo(name)).json()["descriptor"]
    # 0.2 is half of the threshold; the median drift is measured in benchmarks/.
    assert np.linalg.norm(np.array(descriptor) - dlib_truth.descriptors(name)[0]) < 0.2


def test_two_photos_of_one_person_match_and_explain_says_how_near(service: httpx.Client) -> None:
    probe, same, other = (
        send(service, photo(name)).json()["descriptor"]
        for name in ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg")
    )
    enrolled = [
        {"regNo": 1030, "name": "Joe Biden", "descriptor": other},
        {"regNo": 1029, "name": "Barack Obama", "descriptor": same},
    ]
    answer = service.post("/match?explain=true", json={"descriptor": probe, "enrolled": enrolled}).json()
    assert (answer["regNo"], answer["name"]) == (1029, "Barack Obama")
    assert answer["distance"] == pytest.approx(np.linalg.norm(np.subtract(probe, same)), abs=1e-12)
    assert answer["distance"] <= answer["threshold"] == 0.38
    assert answer["runner_up"]["regNo"] == 1030
    plain = service.post("/match", json={"descriptor": probe, "enrolled": enrolled})
    assert plain.json() == {"regNo": 1029, "name": "Barack Obama"}


def test_other_people_do_not_match(service: httpx.Client) -> None:
    descriptors = {name: dlib_truth.descriptors(name)[0].tolist() for name in ("biden-2010.jpg", "hopper-1984.jpg")}
    enrolled = [{"regNo": i, "name": name, "descriptor": d} for i, (name, d) in enumerate(descriptors.items())]
    probe = dlib_truth.descriptors("obama-2012.jpg")[0].tolist()
    assert service.post("/match", json={"descriptor": probe, "enrolled": enrolled}).json() == {"match": False}


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_that_lies_on_its_side_is_turned_upright(exact_service: httpx.Client, orientation: int) -> None:
    turned = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]  # the orientation that undoes this one
    image = Image.open(io.BytesIO(photo("obama-2012.jpg")))
    image.getexif()[0x0112] = turned
    stored = ImageOps.exif_transpose(image)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "JPEG", quality=97, exif=exif)
    answer = send(exact_service, file.getvalue())
    drift = np.linalg.norm(np.array(answer.json()["descriptor"]) - dlib_truth.descriptors("obama-2012.jpg")[0])
    assert drift < 0.1


def test_an_image_comes_as_multipart_in_base64_or_bare(fake_service: httpx.Client) -> None:
    image = photo("hopper-1984.jpg")
    text = base64.b64encode(image).decode()
    answers = [
        fake_service.post("/encode-image", files={"image": image}),
        fake_service.post("/encode-image", files={"file": ("x.bin", image)}),
        fake_service.post("/encode-image", json={"image_base64": text}),
        fake_service.post("/encode-image", json={"image_base64": f"data:image/jpeg;base64,{text}"}),
        fake_service.post("/encode-image", content=image, headers={"Content-Type": "image/jpeg"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("degrees", [-14, 0, 14])
def test_the_answer_has_the_roll_of_the_head(service: httpx.Client, degrees: int) -> None:
    upright = send(service, photo("obama-2012.jpg")).json()["roll"]
    image = Image.open(io.BytesIO(photo("obama-2012.jpg"))).rotate(-degrees, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    answer = send(service, file.getvalue())
    assert answer.json()["roll"] == pytest.approx(upright + degrees, abs=3)


def test_no_face_is_an_error_with_a_code(service: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 300), "teal").save(file, "PNG")
    answer = send(service, file.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (422, "no_face")
    assert answer.json()["face_detected"] is False


def test_several_faces_are_an_error_with_their_boxes_unless_the_largest_is_asked_for(service: httpx.Client) -> None:
    left, right = (Image.open(io.BytesIO(photo(f"{name}.jpg"))) for name in ("obama-2012", "obama-2009"))
    group = Image.new("RGB", (left.width + right.width, left.height))
    group.paste(left, (0, 0))
    group.paste(right.resize((right.width * 3 // 4, right.height * 3 // 4)), (left.width, 0))
    file = io.BytesIO()
    group.save(file, "JPEG", quality=95)
    answer = send(service, file.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (422, "multiple_faces")
    assert answer.json()["face_count"] == 2 == len(answer.json()["faces"])
    largest = send(service, file.getvalue(), faces="largest")
    assert largest.status_code == 200
    assert largest.json()["face_count"] == 2
    assert largest.json()["bbox"][2] < left.width
    widths = {face["bbox"][2] - face["bbox"][0] for face in answer.json()["faces"]}
    assert largest.json()["bbox"][2] - largest.json()["bbox"][0] == max(widths)


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"", 400, "bad_image"),
        (photo("obama-2012.jpg")[:20_000], 400, "bad_image"),
        (b"hello, I am a photo", 415, "unsupported_format"),
        (b"%PDF-1.7 not a photo", 415, "unsupported_format"),
        (b"\xff\xd8\xff" + bytes(13 * 2**20), 413, "too_large"),
    ],
    ids=["empty", "truncated", "text", "pdf", "13 MiB"],
)
def test_a_bad_file_is_a_clear_error(service: httpx.Client, image: bytes, status: int, code: str) -> None:
    answer = send(service, image)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"json": {"image": "x"}},
        {"json": ["x"]},
        {"data": {"name": "x"}},
        {"files": {"photo": b"x"}},
        {"files": [("image", b"x"), ("image", b"y")]},
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        {},
    ],
)
def test_a_request_of_another_shape_is_a_bad_request(fake_service: httpx.Client, request_: dict[str, Any]) -> None:
    answer = fake_service.post("/encode-image", **request_)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_invalid_base64_is_a_bad_image(fake_service: httpx.Client) -> None:
    answer = fake_service.post("/encode-image", json={"image_base64": "!!!"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_image")


def test_an_engine_that_is_not_loaded_is_named_as_the_field(fake_service: httpx.Client) -> None:
    answer = send(fake_service, photo("hopper-1984.jpg"), engine="insightface")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "engine")


def test_the_engine_can_be_named(fake_service: httpx.Client) -> None:
    assert send(fake_service, photo("hopper-1984.jpg"), engine="fake").json()["model"] == "fake"


def test_eight_clients_at_once_get_right_answers(service: httpx.Client) -> None:
    names = ("hopper-1984.jpg", "obama-2009.jpg", "obama-2012.jpg", "biden-2010.jpg")
    expected = {name: send(service, photo(name)).json() for name in names}

    def call(i: int) -> bool:
        name = names[i % len(names)]
        return send(service, photo(name)).json() == expected[name]

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(call, range(40)))


def test_bodies_of_every_size_one_after_the_other_leave_nothing_behind(fake_service: httpx.Client) -> None:
    """The buffer of a body is reused for the next."""
    names = ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg")
    probes = [dlib_truth.descriptors(name)[0].tolist() for name in names]
    for members in (400, 3, 1200, 1, 0, 50, 400):
        for probe, name in zip(probes, names, strict=True):
            far = [{"regNo": i, "name": "x" * (i % 7), "descriptor": [0.9] * 128} for i in range(members)]
            enrolled = [*far, {"regNo": "last", "name": name, "descriptor": probe}][: members + (members != 3)]
            answer = fake_service.post("/match", json={"descriptor": probe, "enrolled": enrolled})
            assert answer.json() == ({"match": False} if members == 3 else {"regNo": "last", "name": name})
