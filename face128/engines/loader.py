"""Loads an engine with its settings: the only module that knows all engines. Each is imported when it is loaded."""

from __future__ import annotations

from face128.engines.base import Engine
from face128.errors import ConfigurationError
from face128.process_memory import trim_heap
from face128.settings import Settings

ENGINES = ("dlib", "faceapi", "insightface", "fake")
"""The names that load_engine takes."""


def load_engine(name: str, settings: Settings) -> Engine:
    """Load an engine and its weights. Raises ConfigurationError if it cannot be used."""
    engine = _load(name, settings)
    trim_heap()
    return engine


def _load(name: str, settings: Settings) -> Engine:
    match name:
        case "dlib":
            from face128.engines.dlib.engine import DlibEngine
            from face128.engines.dlib.weight_files import find_weights

            weights = find_weights(settings.weights)
            return DlibEngine(weights, settings.network, settings.detection, settings.providers)
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
            raise ConfigurationError(f"There is no engine {name!r}. The engines are: {', '.join(ENGINES)}.")
