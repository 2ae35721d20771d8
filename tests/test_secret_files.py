"""Secrets in files, and a service that reads its keys from one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from serving import serving

from face128.errors import ConfigurationError
from face128.secret_files import MAX_FILE_BYTES, SECRETS
from face128.settings import Settings, load_settings, unknown_variables

KEYS = "first-key-of-thirty-two-characters", "second-key-of-thirty-two-characters"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("FACE128_", "API_KEY")):
            monkeypatch.delenv(name)


def test_every_secret_may_stand_in_a_file() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret - {"gallery_key", "gallery_key_command"} | {"api_keys"} == SECRETS.keys()


@pytest.mark.parametrize(
    ("setting", "variable"), [(s, name.removesuffix("_FILE")) for s, names in SECRETS.items() for name in names]
)
def test_the_value_is_that_of_the_variable(
    setting: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "sqlite:////somewhere/gallery.sqlite"
    monkeypatch.setenv(variable, text)
    expected = getattr(load_settings(), setting)
    monkeypatch.delenv(variable)
    (tmp_path / "secret").write_text(f"\n {text} \n")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    assert getattr(load_settings(), setting) == expected
    assert unknown_variables() == []


def test_a_service_takes_the_keys_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n".join(KEYS))
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS_FILE=str(tmp_path / "keys")) as client:
        body = {"descriptor": [0] * 128, "enrolled": []}
        assert client.post("/match", json=body).status_code == 401
        assert [client.post("/match", json=body, headers={"X-API-Key": key}).status_code for key in KEYS] == [200, 200]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"a" * MAX_FILE_BYTES + b"a", "larger"),
    ],
)
def test_a_file_that_is_none_stops_the_start(
    content: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("FACE128_API_KEYS_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_settings()
    assert str(tmp_path) not in str(caught.value)


def test_a_secret_has_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(KEYS[0])
    monkeypatch.setenv("API_KEY", KEYS[1])
    monkeypatch.setenv("API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="only one of API_KEY and API_KEY_FILE"):
        load_settings()
