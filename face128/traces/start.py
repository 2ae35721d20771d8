"""Starts to send traces: OpenTelemetry is imported only by what this imports when it is called.

Where they go, OpenTelemetry's own variables say (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). They are
checked here, since its exporter would fail again and again, and the service would not.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from face128.errors import ConfigurationError

if TYPE_CHECKING:
    from face128.traces.sending import Sending

DEFAULT_ENDPOINT = "http://localhost:4318"
PROTOCOL = "http/protobuf"
PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def start_sending(version: str) -> Sending:
    """``version`` is the service's.

    Raises ConfigurationError as ``check_traces``, and where OpenTelemetry refuses another of its variables.
    """
    url = check_traces()
    from face128.traces.sending import Sending

    return Sending(version, url)


def check_traces() -> str:
    """The URL that traces are sent to, without what may be secret in it.

    Raises ConfigurationError if the packages are missing, or if a variable asks for what is not done.
    """
    if not all(map(_is_installed, PACKAGES)):
        raise ConfigurationError(
            "FACE128_TRACES needs packages that are not installed. Run: pip install 'face128[traces]'"
        )
    _only("OTEL_TRACES_EXPORTER", value("OTEL_TRACES_EXPORTER"), "otlp")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if value(name):
            _only(name, value(name), PROTOCOL)
            break
    name, more = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""
    if not value(name):
        name, more = "OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces"
    try:
        url = urlsplit(value(name) or DEFAULT_ENDPOINT)
        host, port = url.hostname, url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https"):
        raise ConfigurationError(f"{name} is a URL such as {DEFAULT_ENDPOINT}.")
    host = f"[{host}]" if ":" in host else host
    path = url.path.removesuffix("/") + more if more else url.path
    return f"{url.scheme}://{host}{f':{port}' if port else ''}{path}"


def value(name: str) -> str:
    return os.environ.get(name, "").strip()


def _only(name: str, given: str, possible: str) -> None:
    if given not in ("", possible):
        raise ConfigurationError(f"{name}: traces are sent by {possible} only. Unset it, or set FACE128_TRACES=0.")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package around it
        return False
