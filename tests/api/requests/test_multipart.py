"""Multipart bodies: photos without a file name, files that were not chosen, and text that is not UTF-8."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fake_photos import fake_photo
from serving import photo

FILE = b'; filename="face.jpg"'
PHOTO = photo("obama-2012.jpg")


def part(field: str, data: bytes, more: bytes = b"") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (field.encode(), more, data)


def send(client: httpx.Client, path: str, *parts: bytes, charset: str = "") -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary=b{charset}"}
    return client.post(path, content=b"".join(parts) + b"--b--\r\n", headers=headers)


def refusal(answer: httpx.Response) -> tuple[int, Any, Any]:
    return answer.status_code, answer.json()["code"], answer.json().get("field")


@pytest.mark.parametrize("more", [b"", b"; filename*=UTF-8''face.jpg", b'; filename=""', FILE])
@pytest.mark.parametrize("size", [len(PHOTO), 1_000_000])
def test_a_photo_is_a_file_with_and_without_a_file_name(fake_service: httpx.Client, more: bytes, size: int) -> None:
    image = PHOTO.ljust(size, b"\0")
    for path, fields in (
        ("/encode-image", ["image"]),
        ("/encode-image", ["file"]),
        ("/compare", ["image1", "image2"]),
        ("/records/match", ["image"]),
        ("/enroll_faces/someone", ["files", "images", "file", "image"]),
    ):
        answer = send(fake_service, path, part("name", b"x"), *(part(field, image, more) for field in fields))
        assert answer.status_code == 200, answer.text
    assert fake_service.delete("/enroll_faces/someone").status_code == 200


def test_a_photo_without_a_file_name_has_the_limits_of_a_photo(fake_service: httpx.Client) -> None:
    assert refusal(send(fake_service, "/encode-image", part("image", PHOTO.ljust(12 * 2**20 + 1, b"\0"))))[0] == 413


def test_a_file_that_was_not_chosen_is_none(fake_service: httpx.Client) -> None:
    """Browsers send an empty part for each file field of a form."""
    not_chosen = part("image", b"", b'; filename=""\r\nContent-Type: application/octet-stream')
    assert send(fake_service, "/encode-image", not_chosen, part("file", PHOTO, FILE)).status_code == 200
    for parts in ([not_chosen], [part("image", b"")], [not_chosen, not_chosen], []):
        assert refusal(send(fake_service, "/encode-image", *parts)) == (400, "bad_request", None)
    assert refusal(send(fake_service, "/encode-image", part("image", b"", FILE))) == (400, "bad_image", None)


@pytest.mark.parametrize("text", [b"@face.jpg", b"x" * 100_000])
def test_text_where_a_photo_should_be_is_told(fake_service: httpx.Client, text: bytes) -> None:
    for path in ("/encode-image", "/records/match"):
        answer = send(fake_service, path, part("image", text))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "sent as a file" in answer.json()["error"]


@pytest.mark.parametrize("text", [b"M\xfcller", b"M\xf6ller", b"x\xed\xa0\xbd", b"\xff", b"\xc0\x80"])
def test_text_that_is_not_utf8_names_its_field_and_stores_nothing(fake_service: httpx.Client, text: bytes) -> None:
    image, name = part("image", fake_photo(1), FILE), part("name", b"x")
    before = fake_service.get("/records").json()
    for path, parts, field in (
        ("/records", [image, part("name", text)], "name"),
        ("/records", [image, name, part("metadata", b'{"a":"%b"}' % text)], "metadata"),
        ("/records/match", [image, part("threshold", text)], "threshold"),
        ("/records/match", [image, part("top_k", text)], "top_k"),
        ("/enroll_faces/someone", [image, part("name", text)], "name"),
    ):
        assert refusal(send(fake_service, path, *parts)) == (422, "invalid_request", field)
    assert fake_service.get("/records").json() == before


def test_a_charset_that_a_client_declares_is_believed_or_refused(fake_service: httpx.Client) -> None:
    parts = [part("image", fake_photo(2), FILE), part("name", b"M\xfcller")]
    created = send(fake_service, "/records", *parts, charset="; charset=ISO-8859-1").json()["record"]
    fake_service.delete(f"/records/{created['id']}")
    assert created["name"] == "Müller"
    for codec in ("undefined", "punycode", "idna", "utf-16", "unicode_escape", "rot13", "x" * 1000):
        answer = send(fake_service, "/records", *parts, charset=f"; charset={codec}")
        assert refusal(answer) == (400, "bad_request", None)


def test_a_text_field_that_is_too_long_is_named(fake_service: httpx.Client) -> None:
    image, long = part("image", fake_photo(1), FILE), b"x" * 70_000
    for path, field in (("/records", "name"), ("/records", "metadata"), ("/records/match", "x" * 64)):
        answer = send(fake_service, path, image, part(field.ljust(64, "x") if field[0] == "x" else field, long))
        assert refusal(answer) == (413, "too_large", field)


@pytest.mark.parametrize(
    ("path", "field"),
    [("/enroll_faces/M%FCller", "user_id"), ("/enroll_faces/%ED%A0%80", "user_id"), ("/enroll_faces/a%00b", "user_id")],
)
def test_a_path_that_is_not_utf8_is_nobody(fake_service: httpx.Client, path: str, field: str) -> None:
    sent = send(fake_service, path, part("image", fake_photo(1), FILE), part("name", b"x"))
    assert refusal(sent) == refusal(fake_service.delete(path)) == (422, "invalid_request", field)


def test_a_replacement_character_in_a_path_is_a_character(fake_service: httpx.Client) -> None:
    sent = send(fake_service, "/enroll_faces/%EF%BF%BD", part("image", fake_photo(3), FILE), part("name", b"x"))
    assert sent.status_code == 200
    assert send(fake_service, "/match_face", part("image", fake_photo(3), FILE)).json()["user_id"] == "\ufffd"
    assert fake_service.delete("/enroll_faces/%EF%BF%BD").status_code == 200
