"""face128 doctor: checks the installed packages, the weights, and the descriptor of a known photo."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from face128 import __version__
from face128.encoding.encode import encode
from face128.encoding.self_test import self_test_photo
from face128.engines.dlib.weight_files import SHA256, find_weights, read_verified
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError, Face128Error
from face128.photos.photo import Limits
from face128.settings import Settings, unknown_variables

# The first numbers that face_recognition 1.3.0 with dlib 20.0.1 gives for the self-test photo.
EXPECTED_NUMBERS = (-0.06498428, 0.01783637, 0.01490607, -0.06128154, -0.16219404, -0.02379606, -0.03684764)
MAX_DIFFERENCE = 1e-4  # ten times the difference between ONNX Runtime and dlib


def examine(settings: Settings) -> bool:
    """Print a table of findings. Returns whether all are healthy."""
    healthy = True
    table = Table("")
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for subject, check in _checks(settings):
        try:
            table.add_row("ok", subject, check())
        except (Face128Error, ImportError) as error:
            healthy = False
            table.add_row("!!", subject, str(error))
    Console().print(table)
    return healthy


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is checked, and a function that returns what it found and raises an error where something is wrong."""
    yield "face128", lambda: f"{__version__}, Python {platform.python_version()}, {platform.machine()}"
    for requirement in requires("face128") or []:
        if "extra ==" not in requirement:
            name = re.split(r"[\[<>=~; ]", requirement, maxsplit=1)[0]
            yield name, partial(_package, name, requirement)
    for file, checksum in SHA256.items():
        yield file, partial(_weights, settings, file, checksum)
    yield "providers", partial(_providers, settings)
    yield "self-test", partial(_self_test, settings)
    hint = "Set FACE128_FACEAPI_MODELS: docs/face-api.md"
    yield "faceapi", partial(_optional_engine, settings, "faceapi", settings.faceapi_models, hint)
    hint = "Provide a model pack and set FACE128_INSIGHTFACE_PACK: docs/insightface.md"
    yield "insightface", partial(_optional_engine, settings, "insightface", settings.insightface_pack, hint)
    for name in unknown_variables():
        yield name, _unknown_variable


def _package(name: str, requirement: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise ConfigurationError(f"is missing. To install it: pip install '{requirement}'") from None


def _weights(settings: Settings, file: str, checksum: str) -> str:
    read_verified(find_weights(settings.weights) / file)
    return f"sha256 {checksum[:16]}…, public domain"


def _providers(settings: Settings) -> str:
    from face128.engines.onnx.sessions import providers_in_use

    used = providers_in_use(settings.providers)
    missing = [f"{name} does not work here" for name in settings.providers if name not in used]
    detail = "; ".join([f"in use: {', '.join(used)}", *missing])
    if missing:
        raise ConfigurationError(detail)
    return detail


def _self_test(settings: Settings) -> str:
    engine = load_engine("dlib", settings)
    found = encode(engine, self_test_photo(), Limits()).descriptor[: len(EXPECTED_NUMBERS)]
    difference = float(np.abs(found - np.array(EXPECTED_NUMBERS)).max())
    if difference > MAX_DIFFERENCE:
        raise ConfigurationError(f"a known descriptor is off by {difference:.1g}: reinstall dlib-bin and onnxruntime")
    return f"the descriptor of a known photo is right to within {difference:.1g}"


def _optional_engine(settings: Settings, name: str, folder: Path | None, set_up_hint: str) -> str:
    """An engine whose weights the operator provides."""
    if folder is None and name not in settings.engines:
        return f"not set up. {set_up_hint}"
    engine = load_engine(name, settings)
    encode(engine, self_test_photo(), Limits())
    return f"{engine.card.name}, {engine.card.pipeline}. {engine.card.licence}"


def _unknown_variable() -> str:
    raise ConfigurationError("is no setting of face128: is it misspelt?")
