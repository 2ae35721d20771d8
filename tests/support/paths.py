"""Where the tests find what they read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
FIXTURES = ROOT / "fixtures"
SHARED = ROOT.parent / "shared"
"""Material for measuring that is not part of the project; tests that need it are skipped where it is not there."""
LFW = SHARED / "data" / "lfw-view1"
