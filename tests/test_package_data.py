"""A wheel has every file that the package reads: pyproject.toml's patterns cover each file that is no Python."""

from __future__ import annotations

import tomllib

from paths import ROOT


def test_the_patterns_cover_every_file_of_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["face128"]
    package = ROOT / "face128"
    covered = {file for pattern in patterns for file in package.glob(pattern)}
    assert {file for file in package.rglob("*.*") if file.suffix not in (".py", ".pyc")} <= covered
    for pattern in patterns:
        assert list(package.glob(pattern)), f"{pattern} is for nothing"
