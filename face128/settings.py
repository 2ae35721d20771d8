"""Every FACE128_* variable, typed, with its default, checked once at start.

``PORT`` and ``API_KEY``, the names that the original documents use, work as well.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from face128 import api_keys
from face128.api_keys import ApiKey
from face128.domain.decision_rule import Rule
from face128.errors import ConfigurationError
from face128.logs import Format

PREFIX = "FACE128_"


def _cores() -> int:
    """The cores this process may run on (a container may be given fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _isolation() -> Literal["process", "thread"]:
    """Processes where they can be forked safely: macOS's own libraries do not allow it."""
    return "process" if sys.platform == "linux" else "thread"


def _data_home() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # unlike Path's, it never raises
    return Path(home) / "face128"


class Settings(BaseSettings):
    """The service's settings; field ``x`` is read from ``FACE128_X``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True, frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs an API key.")
    port: int = Field(
        8000, ge=1, le=65535, validation_alias=AliasChoices("FACE128_PORT", "PORT"), description="Port to listen on."
    )
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("FACE128_API_KEYS", "FACE128_API_KEY", "API_KEY"),
        description="name:sha256[:scope+scope] or plain secrets, separated by commas. None: no key is asked for.",
    )
    allow_anonymous: bool = Field(False, description="Listen beyond loopback without an API key.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses and networks of proxies whose X-Forwarded-For is believed, separated by commas."
    )
    post_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("FACE128_POST_KEY", "API_KEY"),
        description="The key that `face128 reencode --post` sends.",
    )

    engines: Annotated[tuple[str, ...], NoDecode] = Field(
        ("dlib",), min_length=1, description="Engines to load, separated by commas; the first is the default."
    )
    weights: Path | None = Field(None, description="Folder of dlib's weight files, instead of the installed package's.")
    network: Literal["onnx", "dlib"] = Field("onnx", description="What runs the descriptor network.")
    detection: Literal["fast", "exact"] = Field("fast", description="exact: as face_recognition detects; slower.")

    providers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("CPUExecutionProvider",), min_length=1, description="ONNX Runtime's execution providers, the preferred first."
    )

    decision: Literal["threshold", "cohort"] = Field("threshold", description="The rule where a request names none.")
    alpha: float = Field(0.01, gt=0, lt=1, description="Share of strangers that the cohort rule may let in.")

    faceapi_models: Path | None = Field(
        None, description="Folder of face-api.js's models, as a web application has it."
    )
    faceapi_detector: Literal["ssd", "tiny"] = Field("ssd", description="ssd_mobilenetv1 or tiny_face_detector.")
    faceapi_crop: Literal["canvas", "tensor"] = Field("canvas", description="Scale as a browser does, or as Node does.")
    faceapi_min_confidence: float = Field(0.5, gt=0, lt=1, description="minConfidence of ssd_mobilenetv1.")
    faceapi_score_threshold: float = Field(0.5, gt=0, lt=1, description="scoreThreshold of tiny_face_detector.")
    faceapi_input_size: int = Field(416, ge=32, le=2048, multiple_of=32, description="inputSize of tiny_face_detector.")

    insightface_pack: Path | None = Field(None, description="Folder of an InsightFace model pack, such as buffalo_l.")
    insightface_detection_size: int = Field(
        640, ge=64, le=4096, multiple_of=32, description="Side of the square that its detector looks at, in pixels."
    )

    threads: int = Field(default_factory=_cores, ge=1, le=256, description="Photos encoded at once. Default: cores.")
    queue: int = Field(
        32, ge=0, le=100_000, description="Photos, and large lists of /match, that may wait; one more is 'overloaded'."
    )

    isolation: Literal["process", "thread"] = Field(
        default_factory=_isolation, description="Where photos are worked on: in processes that are replaced, or here."
    )
    photo_seconds: float = Field(30, gt=0, description="After this long the process that works on a photo is ended.")

    max_image_bytes: int = Field(12 * 2**20, ge=1, description="Largest photo, in bytes of the file.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Largest photo, in pixels.")
    max_match_bytes: int = Field(64 * 2**20, ge=1, description="Largest body of /match, in bytes.")
    max_batch_bytes: int = Field(32 * 2**20, ge=1, description="Largest body of /batch-extract, in bytes.")
    max_body_memory: int = Field(
        256 * 2**20, ge=2**20, description="Bytes that the bodies of all requests may take at once."
    )
    body_seconds: float = Field(20, gt=0, description="Time for a body, and a second more for each 64 KiB of it.")
    client_seconds: float = Field(10, gt=0, description="Time for the head of a request, and to read what waits.")
    max_connections: int = Field(1000, ge=1, description="Connections at once, of each process.")
    grace: float = Field(30, gt=0, description="Seconds that running work may take after SIGTERM.")

    list_memory: int = Field(
        64 * 2**20, ge=0, description="Bytes of memory for the last lists of /match, so that they are not parsed again."
    )
    max_members: int = Field(100_000, ge=1, description="Most descriptors in the body of /match.")

    max_roll: float | None = Field(
        None, gt=0, le=180, description="Most degrees by which a head may be tilted to be enrolled. None: any."
    )

    data: Path = Field(default_factory=_data_home, description="Folder of the gallery, where no database is named.")
    database_url: SecretStr | None = Field(
        None, description="Database of the gallery: sqlite:///..., mysql+pymysql://... or postgresql+psycopg://..."
    )
    milvus_uri: SecretStr | None = Field(
        None, description="Milvus for the gallery's vectors, instead of an index in the process."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: Format = Field("lines", description="json: an object a line.")

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_kubernetes_link(cls, value: Any) -> Any:
        # Kubernetes sets FACE128_PORT=tcp://... in every pod beside a Service named face128.
        if isinstance(value, str) and value.startswith("tcp://"):
            return os.environ.get("PORT") or 8000
        return value

    @field_validator("api_keys", "engines", "providers", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("api_keys", mode="before")
    @classmethod
    def _read_keys(cls, value: Any) -> Any:
        entries = cls._split(value)
        return tuple(api_keys.parse(entry, i) if isinstance(entry, str) else entry for i, entry in enumerate(entries))

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ipaddress.ip_network(proxy)) for proxy in proxies)
        except ValueError:
            raise ValueError("Proxies are addresses and networks: 10.0.0.7, 10.1.0.0/16") from None

    @field_validator("post_key", mode="before")
    @classmethod
    def _first(cls, value: Any) -> Any:
        return value.partition(",")[0].strip() if isinstance(value, str) else value

    @property
    def rule(self) -> Rule:
        """The decision's rule where a request names none."""
        return Rule(self.decision, self.alpha)

    @property
    def in_processes(self) -> bool:
        """Whether photos are worked on in other processes. What ONNX Runtime keeps on a GPU does not survive a fork."""
        return self.isolation == "process" and self.providers == ("CPUExecutionProvider",)

    @property
    def gallery_file(self) -> Path:
        """Where the gallery is, if no database is named."""
        return self.data / "gallery.sqlite"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address that the service listens on."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_exposure(self) -> None:
        """Raise ConfigurationError where strangers could reach a service that asks for no key."""
        if not (self.api_keys or self.allow_anonymous or self.loopback):
            raise ConfigurationError(
                f"The service would listen on {self.host} and let anyone in. Set FACE128_API_KEYS to what "
                "'face128 keys new NAME' prints, or API_KEY to a secret (openssl rand -base64 32), or "
                "FACE128_ALLOW_ANONYMOUS=1 if that is what you want."
            )


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; ``overrides`` (command-line options) win over it, None being no override.

    Raises ConfigurationError naming every variable that is wrong, never its value.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError("The settings are wrong. " + "; ".join(problems) + ".") from None


def unknown_variables() -> list[str]:
    """FACE128_* variables that nothing reads: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"FACE128_API_KEY"}
    kubernetes = ("FACE128_SERVICE_", "FACE128_PORT_")
    return sorted(
        name for name in os.environ if name.startswith(PREFIX) and name not in known and not name.startswith(kubernetes)
    )


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else PREFIX + name.upper()
