"""Benchmarks of face128 against other implementations: ``python -m benchmarks``."""

import sys
from pathlib import Path

# The benchmarks use the tests' modules for starting services and for reference results.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
