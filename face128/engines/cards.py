"""The card that an engine will have, where it can be known without loading its network, which takes a second."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from face128.domain.model_card import DLIB, RETAIL, ModelCard
from face128.engines.base import FINDER_NAMES
from face128.errors import ConfigurationError
from face128.settings import Settings


def find_engine_card(name: str, settings: Settings) -> ModelCard | None:
    """None where the engine must be loaded to know it."""
    finder = FINDER_NAMES[settings.detection]
    match name:
        case "dlib":
            return replace(DLIB, pipeline=f"{finder}/{DLIB.pipeline}")
        case "retail" if _has_known_retail(settings):
            return replace(RETAIL, pipeline=f"{finder}/{RETAIL.pipeline}")
        case "fake":
            from face128.engines.fake import FAKE

            return FAKE
    return None


def _has_known_retail(settings: Settings) -> bool:
    from face128.engines.retail.model_files import SHA256, find_files

    try:
        files = find_files(settings.retail_model, settings.data)
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    except (ConfigurationError, OSError):  # loading says what is wrong
        return False
    return digests == set(SHA256.values())
