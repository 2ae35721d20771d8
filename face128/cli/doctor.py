"""face128 doctor: checks the installed packages, the weights, and the descriptor of a known photo."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from face128 import __version__
from face128.encoding.encode import encode
from face128.encoding.self_test import self_test_photo
from face128.engines.dlib.weight_files import (
    LANDMARKS_FILE,
    LANDMARKS_SHA256,
    RESNET_FILE,
    RESNET_SHA256,
    find_weights,
    read_verified,
)
from face128.engines.loader import load_engine
from face128.errors import Face128Error
from face128.photos.photo import Limits
from face128.settings import Settings, unknown_variables

# The first numbers that face_recognition 1.3.0 with dlib 20.0.1 gives for the self-test photo.
EXPECTED_NUMBERS = (-0.06498428, 0.01783637, 0.01490607, -0.06128154, -0.16219404, -0.02379606, -0.03684764)
MAX_DIFFERENCE = 1e-4  # ten times the difference between ONNX Runtime and dlib


@dataclass(frozen=True)
class Finding:
    subject: str
    healthy: bool
    detail: str


def examine(settings: Settings) -> bool:
    """Print a table of findings. Returns whether all are healthy."""
    findings = list(_findings(settings))
    table = Table("")
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        table.add_row("ok" if finding.healthy else "!!", finding.subject, finding.detail)
    Console().print(table)
    return all(finding.healthy for finding in findings)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield Finding("face128", True, f"{__version__}, Python {platform.python_version()}, {platform.machine()}")
    yield from _packages()
    yield from _weights(settings)
    yield _providers(settings)
    yield _self_test(settings)
    yield _optional_engine(settings, "faceapi", settings.faceapi_models, "Set FACE128_FACEAPI_MODELS: docs/face-api.md")
    yield _optional_engine(
        settings,
        "insightface",
        settings.insightface_pack,
        "Provide a model pack and set FACE128_INSIGHTFACE_PACK: docs/insightface.md",
    )
    for name in unknown_variables():
        yield Finding(name, False, "is no setting of face128: is it misspelt?")


def _packages() -> Iterator[Finding]:
    for requirement in requires("face128") or []:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[\[<>=~; ]", requirement, maxsplit=1)[0]
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, f"is missing. To install it: pip install '{requirement}'")


def _weights(settings: Settings) -> Iterator[Finding]:
    for name, checksum in ((RESNET_FILE, RESNET_SHA256), (LANDMARKS_FILE, LANDMARKS_SHA256)):
        try:
            read_verified(find_weights(settings.weights) / name, checksum)
            yield Finding(name, True, f"sha256 {checksum[:16]}…, public domain")
        except Face128Error as error:
            yield Finding(name, False, str(error))


def _providers(settings: Settings) -> Finding:
    subject = "providers"
    try:
        from face128.engines.onnx.sessions import providers_in_use
    except ImportError as error:
        return Finding(subject, False, str(error))
    used = providers_in_use(settings.providers)
    missing = [name for name in settings.providers if name not in used]
    detail = f"in use: {', '.join(used)}"
    return Finding(subject, not missing, "; ".join([detail, *(f"{name} does not work here" for name in missing)]))


def _self_test(settings: Settings) -> Finding:
    subject = "self-test"
    try:
        engine = load_engine("dlib", settings)
        found = encode(engine, self_test_photo(), Limits()).descriptor[: len(EXPECTED_NUMBERS)]
    except (Face128Error, ImportError) as error:
        return Finding(subject, False, str(error))
    difference = float(np.abs(found - np.array(EXPECTED_NUMBERS)).max())
    if difference > MAX_DIFFERENCE:
        return Finding(
            subject, False, f"a known descriptor is off by {difference:.1g}: reinstall dlib-bin and onnxruntime"
        )
    return Finding(subject, True, f"the descriptor of a known photo is right to within {difference:.1g}")


def _optional_engine(settings: Settings, name: str, folder: Path | None, set_up_hint: str) -> Finding:
    """An engine whose weights the operator provides."""
    if folder is None and name not in settings.engines:
        return Finding(name, True, f"not set up. {set_up_hint}")
    try:
        engine = load_engine(name, settings)
        encode(engine, self_test_photo(), Limits())
    except (Face128Error, ImportError) as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"{engine.card.name}, {engine.card.pipeline}. {engine.card.licence}")
