"""face128 doctor: checks the installed packages, the weights, and the descriptor of a known photo."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np

from face128 import __version__
from face128.encoding.encode import encode
from face128.encoding.self_test import self_test_photo
from face128.engines.dlib.weight_files import SHA256, find_weights, read_verified
from face128.engines.loader import decision_problem, load_engine
from face128.engines.retail.model_files import chosen_path
from face128.errors import ConfigurationError, Face128Error
from face128.network_names import url_to_open
from face128.photos.photo import Limits
from face128.settings import Settings, unknown_variables
from face128.terminal.speech import OUT, plural
from face128.traces.start import check_traces

# The first numbers that face_recognition 1.3.0 with dlib 20.0.1 gives for the self-test photo.
EXPECTED_NUMBERS = (-0.06498428, 0.01783637, 0.01490607, -0.06128154, -0.16219404, -0.02379606, -0.03684764)
LABEL_WIDTH = len("ok  insightface  ")
MAX_DIFFERENCE = 1e-4  # ten times the difference between ONNX Runtime and dlib


class _NotSetUp(Exception):
    """Most services do without it."""


def examine(settings: Settings) -> bool:
    """Print what was found, a paragraph for each thing. Returns whether all is well."""
    faults = 0
    for subject, check in _checks(settings):
        mark = "ok"
        try:
            found = check()
        except _NotSetUp as absent:
            mark, found = "--", str(absent)
        except (Face128Error, ImportError) as error:
            mark, found = "!!", str(error)
            faults += 1
        label = f"{mark}  {subject}  ".ljust(LABEL_WIDTH)
        OUT.say(label + found, style="bad" if mark == "!!" else "", hanging=LABEL_WIDTH)
    OUT.say()
    if faults:
        OUT.say(f"{plural(faults, 'thing')} to mend, marked !! above.", style="bad")
    else:
        OUT.say("All is well.", style="good")
    return not faults


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is checked, and a function that returns what it found and raises an error where something is wrong."""
    yield "face128", lambda: f"{__version__}, Python {platform.python_version()}, {platform.machine()}"
    yield "packages", _packages
    for file, checksum in SHA256.items():
        yield "weights", partial(_weights, settings, file, checksum)
    yield "providers", partial(_providers, settings)
    yield "self-test", partial(_self_test, settings)
    hint = "Add its two files with face128 models add retail: docs/second-network.md"
    retail = chosen_path(settings.retail_model, settings.data)
    yield "retail", partial(_optional_engine, settings, "retail", retail, hint)
    hint = "Set FACE128_FACEAPI_MODELS: docs/face-api.md"
    yield "faceapi", partial(_optional_engine, settings, "faceapi", settings.faceapi_models, hint)
    hint = "Provide a model pack and set FACE128_INSIGHTFACE_PACK: docs/insightface.md"
    yield "insightface", partial(_optional_engine, settings, "insightface", settings.insightface_pack, hint)
    if settings.decision_models != "dlib":
        yield "decisions", partial(_decision_models, settings)
    if settings.encrypted:
        yield "encryption", partial(_encryption, settings)
    if settings.traces:
        yield "traces", _traces
    yield "address", partial(_address, settings)
    for name in unknown_variables():
        yield name, _unknown_variable


def _packages() -> str:
    found, missing = [], []
    for requirement in requires("face128") or []:
        if "extra ==" not in requirement:
            name = re.split(r"[\[<>=~; ]", requirement, maxsplit=1)[0]
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                if "sys_platform" not in requirement:
                    missing.append(f"'{requirement}'")
    if missing:
        raise ConfigurationError(f"{plural(len(missing), 'package')} missing. Run: pip install {' '.join(missing)}")
    return ", ".join(found)


def _weights(settings: Settings, file: str, checksum: str) -> str:
    read_verified(find_weights(settings.weights) / file)
    return f"{file}, public domain, sha256 {checksum[:16]}…"


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
        raise _NotSetUp(f"not set up. {set_up_hint}")
    engine = load_engine(name, settings)
    encode(engine, self_test_photo(), Limits())
    return f"{engine.card.name}, {engine.card.pipeline}. {engine.card.licence}"


def _address(settings: Settings) -> str:
    settings.check_exposure()
    keys = plural(len(settings.api_keys), "API key") if settings.api_keys else "no API key"
    return f"{url_to_open(settings.host, settings.port)} with {keys}"


def _decision_models(settings: Settings) -> str:
    """Whether the networks are named; the rows above say whether they can be loaded."""
    if problem := decision_problem(settings):
        raise ConfigurationError(problem)
    return f"by {settings.decision_models}, where both sides have both"


def _encryption(settings: Settings) -> str:
    """Neither the key nor where it comes from is told."""
    try:
        from face128.gallery.encryption.examination import examine_encryption
    except ModuleNotFoundError:
        raise ConfigurationError("a package is missing. Run: pip install 'face128[encryption]'") from None
    return examine_encryption(settings)


def _traces() -> str:
    url = check_traces()
    from face128.traces.sending import reaches_collector

    if not reaches_collector():
        raise ConfigurationError(f"nothing takes traces at {url}: docs/traces.md")
    return f"taken at {url}"


def _unknown_variable() -> str:
    raise ConfigurationError("is no setting of face128: is it misspelt?")
