"""settings.py: the environment in, checked settings out."""

from __future__ import annotations

import hashlib
import os

import pytest

from face128 import api_keys
from face128.domain.gallery_keys import new_gallery_key
from face128.errors import ConfigurationError
from face128.settings import Settings, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("FACE128_", "PORT", "API_KEY")):
            monkeypatch.delenv(name)


def opens(settings: Settings, secret: str) -> bool:
    return api_keys.find_key(secret, settings.api_keys) is not None


def test_the_defaults_are_those_of_the_documents() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.engines) == ("127.0.0.1", 8000, ("dlib",))
    assert (settings.max_image_bytes, settings.max_image_pixels) == (12 * 2**20, 50_000_000)
    assert settings.api_keys == ()
    settings.check_exposure()


def test_port_and_api_key_work_without_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("API_KEY", "a-secret")
    settings = load_settings()
    assert settings.port == 9001
    assert opens(settings, "a-secret")


def test_the_prefixed_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("FACE128_PORT", "9002")
    assert load_settings().port == 9002


def test_an_option_of_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_PORT", "9002")
    assert load_settings(port=9003, host=None).port == 9003


@pytest.mark.parametrize("name", ["FACE128_API_KEYS", "FACE128_API_KEY", "API_KEY"])
def test_several_keys_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, " one , two,")
    settings = load_settings()
    assert len(settings.api_keys) == 2
    assert opens(settings, "one")
    assert opens(settings, "two")


def test_keys_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "a-secret")
    shown = repr(load_settings())
    assert "a-secret" not in shown
    assert hashlib.sha256(b"a-secret").hexdigest() not in shown
    assert repr(hashlib.sha256(b"a-secret").digest()) not in shown


def test_a_link_that_kubernetes_sets_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_PORT", "tcp://10.0.0.7:80")
    assert load_settings().port == 8000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "face.example"])
def test_without_a_key_only_loopback_is_served(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("FACE128_HOST", host)
    with pytest.raises(ConfigurationError, match="API_KEY"):
        load_settings().check_exposure()
    load_settings(allow_anonymous=True).check_exposure()
    monkeypatch.setenv("API_KEY", "a-secret")
    load_settings().check_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    load_settings(host=host).check_exposure()


@pytest.mark.parametrize(("value", "anonymous"), [("False", False), ("0", False), ("1", True), ("true", True)])
def test_a_switch_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch, value: str, anonymous: bool) -> None:
    monkeypatch.setenv("FACE128_ALLOW_ANONYMOUS", value)
    assert load_settings().allow_anonymous is anonymous


# Those of the original services' pages first.
PLACEHOLDERS = ["change-me-in-production", "your-secure-api-key", "your-api-key", "YOUR_API_KEY", "<your-api-key-here>"]
PLACEHOLDERS += ["changeme", "Change_Me", "CHANGE_ME_123", "change this!", "replace-with-your-key", "yourapikey"]
PLACEHOLDERS += ["secret", "SECRET_KEY", "my-secret-key", "super.secret.token", "password", "Password123", "passwd"]
PLACEHOLDERS += ["test", "test-key", "example", "example-api-key", "api_key", "$API_KEY", "${API_KEY}", "placeholder"]


@pytest.mark.parametrize("name", ["FACE128_API_KEYS", "API_KEY"])
@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_no_key(monkeypatch: pytest.MonkeyPatch, name: str, placeholder: str) -> None:
    monkeypatch.setenv(name, f"a-good-key,{placeholder}")
    with pytest.raises(ConfigurationError, match=rf"\b{name}: .*placeholder.*face128 keys new NAME") as refusal:
        load_settings()
    assert "a-good-key" not in str(refusal.value)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS[:3])
def test_the_hash_of_that_key_is_refused_too(monkeypatch: pytest.MonkeyPatch, placeholder: str) -> None:
    sha256 = hashlib.sha256(placeholder.encode()).hexdigest()
    monkeypatch.setenv("FACE128_API_KEYS", f"backend:{sha256}")
    with pytest.raises(ConfigurationError, match="placeholder"):
        load_settings()


@pytest.mark.parametrize(
    "key",
    # `face128 keys new`, openssl rand -base64 32, uuidgen, openssl rand -hex 16, and what somebody made up.
    [
        *("face128_Yr4mZ1cQhXbT0sWk3vNfLpE8uJgD5oRiA2yBxHt6KzM", "yOUr4dXq0nCkq8mJ0bI1r2rO9pQ7m5tYw1uZ3xV6c8E="),
        *("3f1c2b9e-7a54-4c1d-9b7e-2f6d8a1c0e5b", "9b74c9897bac770ffc029102a200c5de", "test-4815162342108-key"),
        *("correct horse battery staple", "tester", "keystone", "secretary", "a-secret", "secret-of-gym", "1" * 32),
    ],
)
def test_a_real_key_is_no_placeholder(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("API_KEY", key)
    assert opens(load_settings(), key)


@pytest.mark.parametrize(
    "entry", [f"backend:{'a' * 63}", f"backend:{'a' * 65}", f"my key:{'a' * 64}", f"backend:{'a' * 64}:match+root"]
)
def test_an_entry_that_is_nearly_right_is_no_plain_secret(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("FACE128_API_KEYS", entry)
    with pytest.raises(ConfigurationError, match="FACE128_API_KEYS") as refusal:
        load_settings()
    assert "aaa" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACE128_CORS_ORIGINS", "https://app.example/"),
        ("FACE128_ALLOWED_HOSTS", "face.example:8000"),
        ("FACE128_ROOT_PATH", "face/"),
    ],
)
def test_names_of_the_network_are_checked(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}: ") as refusal:
        load_settings()
    assert value not in str(refusal.value)


def test_only_with_keys_may_the_pages_of_all_origins_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_CORS_ORIGINS", "https://app.example,*")
    with pytest.raises(ConfigurationError, match=r"FACE128_CORS_ORIGINS: .* API keys"):
        load_settings()
    monkeypatch.setenv("API_KEY", "a-secret")
    assert load_settings().cors_origins == ("https://app.example", "*")


@pytest.mark.parametrize("proxies", ["*", "nginx", "10.0.0.1/8"])
def test_proxies_are_addresses(monkeypatch: pytest.MonkeyPatch, proxies: str) -> None:
    monkeypatch.setenv("FACE128_TRUSTED_PROXIES", proxies)
    with pytest.raises(ConfigurationError, match="FACE128_TRUSTED_PROXIES"):
        load_settings()


def test_the_key_that_is_sent_is_the_first_of_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "one,two")
    key = load_settings().post_key
    assert key is not None
    assert key.get_secret_value() == "one"


def test_every_wrong_variable_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_THREADS", "many-threads")
    monkeypatch.setenv("FACE128_NETWORK", "tensorflow")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert "FACE128_THREADS" in str(refusal.value)
    assert "FACE128_NETWORK" in str(refusal.value)
    assert "many-threads" not in str(refusal.value)


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_THREAD", "4")
    monkeypatch.setenv("FACE128_SERVICE_HOST", "10.0.0.7")  # Kubernetes sets this one
    monkeypatch.setenv("FACE128_API_KEY", "a-secret")
    assert unknown_variables() == ["FACE128_THREAD"]


def test_providers_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE128_PROVIDERS", "CUDAExecutionProvider, CPUExecutionProvider")
    assert load_settings().providers == ("CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.mark.parametrize("size", ["600", "0", "8192"])
def test_the_detector_takes_multiples_of_32(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("FACE128_INSIGHTFACE_DETECTION_SIZE", size)
    with pytest.raises(ConfigurationError, match="FACE128_INSIGHTFACE_DETECTION_SIZE"):
        load_settings()


def test_what_is_on_a_gpu_is_not_forked() -> None:
    assert Settings(isolation="process").process_isolation
    assert not Settings(
        isolation="process", providers=("CUDAExecutionProvider", "CPUExecutionProvider")
    ).process_isolation
    assert not Settings(isolation="thread").process_isolation


@pytest.mark.parametrize(
    "key", [{}, {"FACE128_GALLERY_KEY": new_gallery_key()}, {"FACE128_GALLERY_KEY_COMMAND": "print it"}]
)
def test_small_pictures_need_an_encrypted_gallery(monkeypatch: pytest.MonkeyPatch, key: dict[str, str]) -> None:
    for name, value in {"FACE128_THUMBNAILS_HOURS": "48", **key}.items():
        monkeypatch.setenv(name, value)
    if key:
        assert load_settings().thumbnails_hours == 48
    else:
        with pytest.raises(ConfigurationError, match=r"FACE128_THUMBNAILS_HOURS.*FACE128_GALLERY_KEY"):
            load_settings()
