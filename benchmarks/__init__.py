"""What face128 is measured with, side by side with other ways: ``python -m benchmarks``."""

import sys
from pathlib import Path

# How a service is started, and the outside truths, are the tests' too.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
