"""Every FACE128_* variable with its type and default, checked once at start.

``PORT`` and ``API_KEY``, the names that the original service uses, work as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from face128.api_keys import ApiKey, parse_entry
from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import Rule
from face128.domain.gallery_keys import parse_gallery_keys
from face128.domain.template import Template
from face128.errors import ConfigurationError
from face128.logs import LogFormat
from face128.memory_limit import this_process
from face128.network_names import (
    check_hosts,
    check_listening_host,
    check_networks,
    check_origins,
    check_path_prefix,
    is_loopback,
)
from face128.secret_files import FILE_VARIABLES, SecretFiles

MilvusIndexType = Literal["FLAT", "HNSW", "IVF_FLAT"]

PREFIX = "FACE128_"
IDLE_SERVICE_BYTES = 150 * 2**20  # with dlib's engine and no photo (docs/operations.md)
MIN_PHOTO_BYTES = 100 * 2**20  # for a worker process and a photo of some megapixels
MAX_BODY_MEMORY_BYTES = 256 * 2**20


def usable_cores() -> int:
    """The cores that this process may use; a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    """The cores, or fewer where the memory is not enough for so many photos at once."""
    memory_bytes = this_process().total_bytes()
    fitting = sys.maxsize if memory_bytes is None else (memory_bytes - IDLE_SERVICE_BYTES) // MIN_PHOTO_BYTES
    return max(1, min(usable_cores(), fitting))


def _body_memory() -> int:
    memory_bytes = this_process().total_bytes()
    return min(MAX_BODY_MEMORY_BYTES, memory_bytes // 4) if memory_bytes else MAX_BODY_MEMORY_BYTES


def _data_home() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # Path.expanduser may raise
    return Path(home) / "face128"


def _split_at_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _parse_keys(value: Any) -> Any:
    entries = _split_at_commas(value)
    return tuple(parse_entry(entry, i) if isinstance(entry, str) else entry for i, entry in enumerate(entries))


def _encrypted(info: ValidationInfo) -> bool:
    """Whether a key of the gallery is among the settings before this one."""
    return any(info.data.get(name) for name in ("gallery_key", "gallery_key_file", "gallery_key_command"))


def _first_of_several(value: Any) -> Any:
    return value.partition(",")[0].strip() if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_at_commas)]


class Settings(BaseSettings):
    """The settings of the service; field ``x`` is read from ``FACE128_X``. docs/settings.md describes each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, populate_by_name=True, frozen=True)

    # Listening and access
    host: Annotated[str, AfterValidator(check_listening_host)] = (
        "127.0.0.1"  # address to listen on; anything but loopback needs an API key
    )
    port: int = Field(8000, ge=1, le=65535, validation_alias=AliasChoices("FACE128_PORT", "PORT"))
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode, BeforeValidator(_parse_keys)] = Field(
        (), validation_alias=AliasChoices("FACE128_API_KEYS", "FACE128_API_KEY", "API_KEY")
    )  # name:sha256[:scope+scope] or plain secrets; none: no key is needed
    allow_anonymous: bool = False  # listen beyond loopback without an API key
    allowed_hosts: Annotated[CommaSeparated, AfterValidator(check_hosts)] = ()  # further names, without a key
    cors_origins: Annotated[CommaSeparated, AfterValidator(check_origins)] = ()  # whose pages may use the service
    root_path: Annotated[str | None, AfterValidator(check_path_prefix)] = None  # of a proxy that passes paths on whole
    trusted_proxies: Annotated[CommaSeparated, AfterValidator(check_networks)] = ()  # whose X-Forwarded-For counts
    console: bool | None = None  # the pages under /console; unset: where keys are set, or only this machine can come
    post_key: Annotated[SecretStr | None, BeforeValidator(_first_of_several)] = Field(
        None, validation_alias=AliasChoices("FACE128_POST_KEY", "API_KEY")
    )  # the key that `face128 reencode --post` sends

    # Engines
    engines: CommaSeparated = Field(("dlib",), min_length=1)  # the first is the default
    weights: Path | None = None  # folder of dlib's weight files, instead of the installed ones
    network: Literal["onnx", "dlib"] = "onnx"  # what runs the descriptor network
    detection: Literal["fast", "exact"] = "fast"  # exact: as face_recognition detects; slower
    providers: CommaSeparated = Field(("CPUExecutionProvider",), min_length=1)  # ONNX Runtime's, the preferred first
    faceapi_models: Path | None = None  # folder of face-api.js's models, as a web application serves it
    faceapi_detector: Literal["ssd", "tiny"] = "ssd"  # ssd_mobilenetv1 or tiny_face_detector
    faceapi_crop: Literal["canvas", "tensor"] = "canvas"  # scale as a browser does, or as Node.js does
    faceapi_min_confidence: float = Field(0.5, gt=0, lt=1)  # minConfidence of ssd_mobilenetv1
    faceapi_score_threshold: float = Field(0.5, gt=0, lt=1)  # scoreThreshold of tiny_face_detector
    faceapi_input_size: int = Field(416, ge=32, le=2048, multiple_of=32)  # inputSize of tiny_face_detector
    retail_model: Path | None = None  # folder of the two files of face-reidentification-retail-0095, or either file
    insightface_pack: Path | None = None  # folder of an InsightFace model pack, such as buffalo_l
    insightface_detection_size: int = Field(640, ge=64, le=4096, multiple_of=32)  # side of the square input, in pixels
    passes: Literal["one", "mirror"] = "one"  # mirror: the mean descriptor of a face and of its mirror image

    # Decisions
    decision: Literal["threshold", "cohort"] = "threshold"  # the rule, unless a request names one
    decision_models: DecisionModels = "dlib"  # by which networks, where both sides have several
    # As decision_models; what these would have decided is counted, and answers nobody.
    shadow_models: Annotated[tuple[DecisionModels, ...], NoDecode, BeforeValidator(_split_at_commas)] = ()
    template: Template = "mean"  # how several photos of a person in the gallery count
    alpha: float = Field(0.01, gt=0, lt=1)  # greatest share of strangers that the cohort rule accepts
    tail: Literal["auto", "exact", "estimate"] = "auto"  # what computes stranger_risk: a bound, or an estimate
    review_alpha: float | None = Field(None, gt=0, lt=1)  # a stranger_risk up to this is worth another look
    max_roll: float | None = Field(None, gt=0, le=180)  # greatest tilt of a head, in degrees, that may be enrolled
    min_quality: Literal["none", "fair", "good"] = "none"  # the worst photo that may be enrolled

    # Work and limits
    threads: int = Field(default_factory=_threads, ge=1, le=256)  # photos encoded at once
    queue: int = Field(32, ge=0, le=100_000)  # photos, and large lists of /match, that may wait
    isolation: Literal["process", "thread"] = "process"  # photos in replaceable processes (Linux only), or in threads
    photo_seconds: float = Field(30, gt=0)  # for one photo; then its worker process is ended
    max_image_bytes: int = Field(12 * 2**20, ge=1)
    max_image_pixels: int = Field(50_000_000, ge=1)
    max_match_bytes: int = Field(64 * 2**20, ge=1)  # body of /match
    max_batch_bytes: int = Field(32 * 2**20, ge=1)  # body of /batch-extract
    max_body_memory: int = Field(default_factory=_body_memory, ge=2**20)  # bytes of the bodies of all requests at once
    max_members: int = Field(100_000, ge=1)  # members in a body of /match, and descriptors
    list_memory: int = Field(64 * 2**20, ge=0)  # bytes of the list cache: uploaded lists, and recent ones of /match
    list_seconds: float = Field(3600, gt=0)  # a list that is not used for so long leaves the list cache
    body_seconds: float = Field(20, gt=0)  # for a request body, plus one for each 64 KiB of it
    client_seconds: float = Field(10, gt=0)  # to send the head of a request, or to read a response
    keep_alive_seconds: float = Field(75, gt=0)  # that an idle connection stays open, for its next request
    max_connections: int = Field(1000, ge=1)  # open connections of each process
    grace: float = Field(30, gt=0)  # seconds that running work may take after SIGTERM

    # Gallery and log
    data: Path = Field(default_factory=_data_home)  # folder of the gallery, unless a database is set
    database_url: SecretStr | None = None  # sqlite:///..., mysql+pymysql://... or postgresql+psycopg://...
    milvus_uri: SecretStr | None = None  # Milvus for the gallery's vectors, instead of an index in the process
    milvus_index: MilvusIndexType = "FLAT"  # Milvus's index; all but FLAT find most of the nearest faces, not all
    require_consent: bool = False  # refuse to enrol people without a consent
    trail: bool | None = None  # record who does what to whom; unset: as the gallery was told last, at first not
    decision_log_days: int = Field(0, ge=0, le=3650)  # how long decisions of the gallery are kept; 0: not at all
    retention_days: int = Field(0, ge=0, le=36_500)  # after the newest photo; then the person is erased; 0: never
    inactive_days: int = Field(0, ge=0, le=36_500)  # after the last decision for a person, which must be kept; 0: never
    open_collections: int = Field(100, ge=1)  # of which each process keeps the indexes, besides the default one
    # The master keys of an encrypted gallery, the first for what is new: themselves, in a file, or a command's output.
    gallery_key: SecretStr | None = None
    gallery_key_file: Path | None = None
    gallery_key_command: SecretStr | None = None
    keystore_url: SecretStr | None = Field(None, validate_default=True)  # where the people's keys are; as database_url
    milvus_clear: bool = Field(False, validate_default=True)  # allow Milvus, in clear, beside an encrypted gallery
    thumbnails_hours: int = Field(0, ge=0, le=8760)  # that a small picture of an enrolled photo is kept, encrypted
    ready_needs_gallery: bool = True  # whether /ready answers 503 while the gallery cannot be used
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "lines"
    traces: bool = False  # send traces by OTLP; where to: OTEL_EXPORTER_OTLP_ENDPOINT

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_kubernetes_link(cls, value: Any) -> Any:
        # Kubernetes sets FACE128_PORT=tcp://... in every pod beside a Service named face128.
        if isinstance(value, str) and value.startswith("tcp://"):
            return os.environ.get("PORT") or 8000
        return value

    @field_validator("cors_origins")
    @classmethod
    def _any_origin_needs_keys(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "*" in value and info.data.get("api_keys") == ():
            raise ValueError("* would let every page use a service without API keys: name the origins, or set keys")
        return value

    @field_validator("review_alpha")
    @classmethod
    def _review_above_alpha(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and value <= info.data.get("alpha", 0.0):
            raise ValueError("it must be above FACE128_ALPHA")
        return value

    @field_validator("gallery_key")
    @classmethod
    def _readable_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_gallery_keys(value.get_secret_value())
        return value

    @field_validator("gallery_key_file", "gallery_key_command")
    @classmethod
    def _one_source_of_keys(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and _encrypted(info):
            raise ValueError("set only one of FACE128_GALLERY_KEY, FACE128_GALLERY_KEY_FILE and _COMMAND")
        return value

    @field_validator("keystore_url")
    @classmethod
    def _named_keystore(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        address = info.data.get("database_url")
        if value is None and _encrypted(info) and address and not address.get_secret_value().startswith("sqlite"):
            raise ValueError("name a database for the keys, other than the gallery's, with a backup of its own")
        return value

    @field_validator("milvus_clear")
    @classmethod
    def _clear_in_milvus(cls, value: bool, info: ValidationInfo) -> bool:
        if _encrypted(info) and info.data.get("milvus_uri") and not value:
            raise ValueError("Milvus would hold the descriptors of the encrypted gallery in clear: 1 if that is right")
        return value

    @field_validator("thumbnails_hours")
    @classmethod
    def _sealed_thumbnails(cls, value: int, info: ValidationInfo) -> int:
        if value and not _encrypted(info):
            raise ValueError("pictures of people are stored encrypted or not at all: set FACE128_GALLERY_KEY")
        return value

    @property
    def encrypted(self) -> bool:
        """Whether new rows of the gallery are encrypted."""
        return bool(self.gallery_key or self.gallery_key_file or self.gallery_key_command)

    @field_validator("inactive_days")
    @classmethod
    def _needs_last_seen(cls, value: int, info: ValidationInfo) -> int:
        if value and not info.data.get("decision_log_days"):
            raise ValueError("who was seen last is known only where FACE128_DECISION_LOG_DAYS keeps decisions")
        return value

    @property
    def rule(self) -> Rule:
        """Decision rule, unless a request names one."""
        return Rule(self.decision, self.alpha, self.tail, self.review_alpha)

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
    def keystore_file(self) -> Path:
        """The SQLite file of an encrypted gallery's keys, unless a keystore is set."""
        return self.data / "gallery-keys.sqlite"

    @property
    def has_console(self) -> bool:
        """Whether the pages under /console are served."""
        return bool(self.api_keys) or self.on_loopback if self.console is None else self.console

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    def check_exposure(self) -> None:
        """Raise ConfigurationError if other machines could reach a service that needs no key."""
        if not (self.api_keys or self.allow_anonymous or self.on_loopback):
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
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"FACE128_API_KEY", *FILE_VARIABLES}
    kubernetes = ("FACE128_SERVICE_", "FACE128_PORT_")
    return sorted(
        name for name in os.environ if name.startswith(PREFIX) and name not in known and not name.startswith(kubernetes)
    )


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable that a wrong value came from."""
    name = str(location[0]) if location else "settings"
    for field in Settings.model_fields.values():
        if isinstance(alias := field.validation_alias, AliasChoices) and name in alias.choices:
            return next((str(choice) for choice in alias.choices if os.environ.get(str(choice))), name)
    return PREFIX + name.upper()
