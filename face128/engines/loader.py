"""Loads an engine by its name: the only module that knows all engines. Each is imported when it is loaded."""

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

            return DlibEngine.from_settings(settings)
        case "faceapi":
            from face128.engines.faceapi.engine import FaceapiEngine

            return FaceapiEngine.from_settings(settings)
        case "insightface":
            from face128.engines.insightface.engine import InsightfaceEngine

            return InsightfaceEngine.from_settings(settings)
        case "fake":
            from face128.engines.fake import FakeEngine

            return FakeEngine()
        case _:
            raise ConfigurationError(f"There is no engine {name!r}. The engines are: {', '.join(ENGINES)}.")
