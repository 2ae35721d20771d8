"""network_names.py: the spellings that are taken, and those that are the same."""

from __future__ import annotations

import pytest

from face128 import network_names


@pytest.mark.parametrize(
    ("origin", "as_sent"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(origin: str, as_sent: str) -> None:
    assert network_names.check_origins((origin,)) == (as_sent,)


@pytest.mark.parametrize(
    "origin",
    [
        *("app.example", "https://app.example/", "https://app.example/page", "https://*.example", "https://", "null"),
        *("https://user@app.example", "https://app.example:port", "https://app.example?", "https://a b", "//app"),
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="scheme://host"):
        network_names.check_origins(("https://app.example", origin))


def test_hosts_are_names_and_addresses() -> None:
    hosts = ("Face.Example", "10.0.0.7", "[FE80::1]", "fe80::2", "*")
    assert network_names.check_hosts(hosts) == ("face.example", "10.0.0.7", "fe80::1", "fe80::2", "*")


@pytest.mark.parametrize("host", ["http://face.example", "face.example:8000", "*.example", "[::1]:80", "a/b", "[]"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="without scheme and port"):
        network_names.check_hosts((host,))


@pytest.mark.parametrize("path", ["/face", "/services/face", "/v1.2/face_128~", None])
def test_a_path_prefix_starts_with_a_slash(path: str | None) -> None:
    assert network_names.check_path_prefix(path) == path


@pytest.mark.parametrize(
    "path", ["face", "/face/", "/", "//face", "/a//b", "/..", "/a b", "/a?b", "/ä", "http://x/face"]
)
def test_what_is_no_path_prefix_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="starts with a slash"):
        network_names.check_path_prefix(path)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://localhost:8000"),
        ("::", "http://localhost:8000"),
        ("::1", "http://[::1]:8000"),
        ("face.example", "http://face.example:8000"),
    ],
)
def test_the_url_to_open(host: str, url: str) -> None:
    assert network_names.url_to_open(host, 8000) == url
