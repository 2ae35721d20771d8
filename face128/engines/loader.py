"""Loads an engine with its settings: the only module that knows all engines. Each is imported when it is loaded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from face128.engines.base import Engine
from face128.errors import ConfigurationError
from face128.process_memory import trim_heap
from face128.settings import Settings

if TYPE_CHECKING:
    from face128.engines.dlib.finder import DlibFinder

ENGINES = ("dlib", "retail", "faceapi", "insightface", "fake")
"""The names that load_engine takes. The last is for tests alone: it is offered to nobody."""


_finders: WeakValueDictionary[tuple[Path, str], DlibFinder] = WeakValueDictionary()
_finders_lock = Lock()

_ONE_SEARCH = (("dlib", "retail"),)
"""Engines that find faces in the same way: a face that one has found can be described by the others."""


def companions(name: str) -> tuple[str, ...]:
    """The other engines that can describe the faces which this one finds."""
    return tuple(each for names in _ONE_SEARCH if name in names for each in names if each != name)


def decision_problem(settings: Settings, load_errors: Collection[str] = ()) -> str | None:
    """Why photos are not decided by all networks of FACE128_DECISION_MODELS; None if they are, as far as is known.

    ``load_errors``: the engines that could not be loaded.
    """
    wanted = settings.decision_models.split("+") if settings.decision_models != "dlib" else []
    absent = [name for name in wanted if name not in settings.engines]
    failed = [name for name in wanted if name in load_errors]
    if not absent + failed:
        return None
    left = ", ".join(name for name in settings.engines if name not in load_errors) or "no engine"
    engines = "the engine" if len(absent or failed) == 1 else "the engines"
    reason = (
        f"needs {engines} {' and '.join(absent)} in FACE128_ENGINES"
        if absent
        else f"needs {engines} {' and '.join(failed)}, which could not be loaded"
    )
    return f"FACE128_DECISION_MODELS={settings.decision_models} {reason}. Until then photos are described by {left}."


def load_engine(name: str, settings: Settings) -> Engine:
    """Load an engine and its weights. Raises ConfigurationError if it cannot be used."""
    engine = _load(name, settings)
    trim_heap()
    return engine


def _finder(settings: Settings) -> DlibFinder:
    """What finds faces as dlib does: one for all engines of this process that are loaded."""
    from face128.engines.dlib.finder import DlibFinder
    from face128.engines.dlib.weight_files import find_weights

    weights = find_weights(settings.weights)
    with _finders_lock:
        finder = _finders.get((weights, settings.detection))
        if finder is None:
            finder = _finders[weights, settings.detection] = DlibFinder(weights, settings.detection)
        return finder


def _load(name: str, settings: Settings) -> Engine:
    match name:
        case "dlib":
            from face128.engines.dlib.engine import DlibEngine
            from face128.engines.dlib.weight_files import find_weights

            finder = _finder(settings)
            weights = find_weights(settings.weights)
            return DlibEngine(weights, settings.network, settings.detection, settings.providers, finder)
        case "retail":
            from face128.engines.retail.engine import RetailEngine
            from face128.engines.retail.model_files import find_files

            files = find_files(settings.retail_model, settings.data)
            return RetailEngine(*files, _finder(settings), settings.providers)
        case "faceapi":
            from face128.engines.faceapi.engine import FaceapiEngine

            if settings.faceapi_models is None:
                raise ConfigurationError(
                    "Set FACE128_FACEAPI_MODELS to the folder of face-api.js's models: your web application serves it."
                )
            return FaceapiEngine(
                settings.faceapi_models,
                settings.faceapi_detector,
                settings.faceapi_crop,
                min_confidence=settings.faceapi_min_confidence,
                score_threshold=settings.faceapi_score_threshold,
                input_size=settings.faceapi_input_size,
                providers=settings.providers,
            )
        case "insightface":
            from face128.engines.insightface.engine import InsightfaceEngine

            if settings.insightface_pack is None:
                raise ConfigurationError(
                    "Set FACE128_INSIGHTFACE_PACK to the folder of an InsightFace model pack, such as buffalo_l."
                )
            side = settings.insightface_detection_size
            return InsightfaceEngine(settings.insightface_pack, side, settings.detection, settings.providers)
        case "fake":
            from face128.engines.fake import FakeEngine

            return FakeEngine()
        case _:
            raise ConfigurationError(f"There is no engine {name!r}. The engines are: {', '.join(ENGINES[:-1])}.")
