"""Labeled Faces in the Wild, for tests that are skipped without it."""

import pytest
from paths import LFW

__all__ = ["LFW", "needs_lfw"]

needs_lfw = pytest.mark.skipif(not LFW.is_dir(), reason="../shared/data/lfw-view1 is missing")
