"""Every FACE128_* variable with its type and default, checked once at start.

``PORT`` and ``API_KEY``, the names that the original service uses, work as well.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from face128.api_keys import ApiKey, parse_entry
from face128.domain.decision_rule import Rule
from face128.errors import ConfigurationError
from face128.logs import LogFormat

PREFIX = "FACE128_"


def _cores() -> int:
    """The cores that this process may use; a container may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _data_home() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # Path.expanduser may raise
    return Path(home) / "face128"


class Settings(BaseSettings):
    """The settings of the service; field ``x`` is read from ``FACE128_X``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True, frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs an API key.")
    port: int = Field(
        8000, ge=1, le=65535, validation_alias=AliasChoices("FACE128_PORT", "PORT"), description="Port to listen on."
    )
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("FACE128_API_KEYS", "FACE128_API_KEY", "API_KEY"),
        description="name:sha256[:scope+scope] or plain secrets, separated by commas. None: no key is needed.",
    )
    allow_anonymous: bool = Field(False, description="Listen beyond loopback without an API key.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses and networks of proxies whose X-Forwarded-For is trusted, separated by commas."
    )
    post_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("FACE128_POST_KEY", "API_KEY"),
        description="The key that `face128 reencode --post` sends.",
    )

    engines: Annotated[tuple[str, ...], NoDecode] = Field(
        ("dlib",), min_length=1, description="Engines to load, separated by commas; the first is the default."
    )
    weights: Path | None = Field(None, description="Folder of dlib's weight files, instead of the installed ones.")
    network: Literal["onnx", "dlib"] = Field("onnx", description="What runs the descriptor network.")
    detection: Literal["fast", "exact"] = Field("fast", description="exact: as face_recognition detects; slower.")

    providers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("CPUExecutionProvider",), min_length=1, description="ONNX Runtime's execution providers, the preferred first."
    )

    decision: Literal["threshold", "cohort"] = Field(
        "threshold", description="Decision rule, unless a request names one."
    )
    alpha: float = Field(0.01, gt=0, lt=1, description="Greatest share of strangers that the cohort rule accepts.")

    faceapi_models: Path | None = Field(
        None, description="Folder of face-api.js's models, as a web application serves it."
    )
    faceapi_detector: Literal["ssd", "tiny"] = Field("ssd", description="ssd_mobilenetv1 or tiny_face_detector.")
    faceapi_crop: Literal["canvas", "tensor"] = Field(
        "canvas", description="Scale as a browser does, or as Node.js does."
    )
    faceapi_min_confidence: float = Field(0.5, gt=0, lt=1, description="minConfidence of ssd_mobilenetv1.")
    faceapi_score_threshold: float = Field(0.5, gt=0, lt=1, description="scoreThreshold of tiny_face_detector.")
    faceapi_input_size: int = Field(416, ge=32, le=2048, multiple_of=32, description="inputSize of tiny_face_detector.")

    insightface_pack: Path | None = Field(None, description="Folder of an InsightFace model pack, such as buffalo_l.")
    insightface_detection_size: int = Field(
        640, ge=64, le=4096, multiple_of=32, description="Side of the square input of its detector, in pixels."
    )

    threads: int = Field(default_factory=_cores, ge=1, le=256, description="Photos encoded at once. Default: cores.")
    queue: int = Field(
        32,
        ge=0,
        le=100_000,
        description="Photos, and large lists of /match, that may wait. The next is 'overloaded'.",
    )

    isolation: Literal["process", "thread"] = Field(
        "process",
        description="Work on photos in processes that are replaced when they fail (Linux only), or in threads.",
    )
    photo_seconds: float = Field(30, gt=0, description="Seconds for one photo; then its worker process is ended.")

    max_image_bytes: int = Field(12 * 2**20, ge=1, description="Largest photo, in bytes of the file.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Largest photo, in pixels.")
    max_match_bytes: int = Field(64 * 2**20, ge=1, description="Largest body of /match, in bytes.")
    max_batch_bytes: int = Field(32 * 2**20, ge=1, description="Largest body of /batch-extract, in bytes.")
    max_body_memory: int = Field(
        256 * 2**20, ge=2**20, description="Bytes that the bodies of all requests may take at once."
    )
    body_seconds: float = Field(20, gt=0, description="Seconds for a request body, plus one for each 64 KiB of it.")
    client_seconds: float = Field(10, gt=0, description="Seconds to send the head of a request, or to read a response.")
    max_connections: int = Field(1000, ge=1, description="Open connections of each process.")
    grace: float = Field(30, gt=0, description="Seconds that running work may take after SIGTERM.")

    list_memory: int = Field(
        64 * 2**20, ge=0, description="Bytes for the list cache: recent lists of /match, which are not parsed again."
    )
    max_members: int = Field(100_000, ge=1, description="Maximum number of descriptors in a body of /match.")

    max_roll: float | None = Field(
        None, gt=0, le=180, description="Greatest tilt of a head, in degrees, that may be enrolled. None: any."
    )

    data: Path = Field(default_factory=_data_home, description="Folder of the gallery, unless a database is set.")
    database_url: SecretStr | None = Field(
        None, description="Database of the gallery: sqlite:///..., mysql+pymysql://... or postgresql+psycopg://..."
    )
    milvus_uri: SecretStr | None = Field(
        None, description="Milvus for the gallery's vectors, instead of an index in the process."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: LogFormat = Field("lines", description="json: one object on each line.")

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_kubernetes_link(cls, value: Any) -> Any:
        # Kubernetes sets FACE128_PORT=tcp://... in every pod beside a Service named face128.
        if isinstance(value, str) and value.startswith("tcp://"):
            return os.environ.get("PORT") or 8000
        return value

    @field_validator("api_keys", "engines", "providers", "trusted_proxies", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("api_keys", mode="before")
    @classmethod
    def _parse_keys(cls, value: Any) -> Any:
        entries = cls._split_at_commas(value)
        return tuple(parse_entry(entry, i) if isinstance(entry, str) else entry for i, entry in enumerate(entries))

    @field_validator("trusted_proxies")
    @classmethod
    def _normalize_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ipaddress.ip_network(proxy)) for proxy in proxies)
        except ValueError:
            raise ValueError("Proxies are addresses and networks: 10.0.0.7, 10.1.0.0/16") from None

    @field_validator("post_key", mode="before")
    @classmethod
    def _first_of_several(cls, value: Any) -> Any:
        return value.partition(",")[0].strip() if isinstance(value, str) else value

    @property
    def rule(self) -> Rule:
        """Decision rule, unless a request names one."""
        return Rule(self.decision, self.alpha)

    @property
    def process_isolation(self) -> bool:
        """Whether photos are worked on in other processes.

        Neither the libraries of macOS nor what ONNX Runtime keeps on a GPU survive a fork.
        """
        return self.isolation == "process" and sys.platform == "linux" and self.providers == ("CPUExecutionProvider",)

    def without_secrets(self) -> SimpleNamespace:
        """The settings for processes that decode photos: without keys and the addresses of databases.

        Plain values: importing pydantic to unpickle settings would delay the start.
        """
        plain = {name: value for name, value in self if not isinstance(value, SecretStr)}
        return SimpleNamespace(**(plain | {"api_keys": ()}))

    @property
    def gallery_file(self) -> Path:
        """The SQLite file of the gallery, unless a database is set."""
        return self.data / "gallery.sqlite"

    @property
    def loopback(self) -> bool:
        """Whether the service listens on an address that only this machine can reach."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_exposure(self) -> None:
        """Raise ConfigurationError if other machines could reach a service that needs no key."""
        if not (self.api_keys or self.allow_anonymous or self.loopback):
            raise ConfigurationError(
                f"The service would listen on {self.host} without an API key. Set FACE128_API_KEYS to what "
                "'face128 keys new NAME' prints, or API_KEY to a secret (openssl rand -base64 32), or "
                "FACE128_ALLOW_ANONYMOUS=1 if that is what you want."
            )


def load_settings(**overrides: Any) -> Settings:
    """Read the environment. ``overrides`` (command line options) that are not None take precedence.

    Raises ConfigurationError that names every invalid variable, never its value.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError("The settings are wrong. " + "; ".join(problems) + ".") from None


def unknown_variables() -> list[str]:
    """FACE128_* variables that are no settings: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"FACE128_API_KEY"}
    kubernetes = ("FACE128_SERVICE_", "FACE128_PORT_")
    return sorted(
        name for name in os.environ if name.startswith(PREFIX) and name not in known and not name.startswith(kubernetes)
    )


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else PREFIX + name.upper()
