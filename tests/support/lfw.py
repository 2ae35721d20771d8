"""Labeled Faces in the Wild, where it is there."""

import pytest
from paths import LFW

__all__ = ["LFW", "needs_lfw"]

needs_lfw = pytest.mark.skipif(not LFW.is_dir(), reason="../shared/data/lfw-view1 is not here")
