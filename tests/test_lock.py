"""The image installs requirements.lock: versions within the ranges, complete, and every file with its hash."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from paths import ROOT


def locked() -> dict[str, tuple[str, int]]:
    """The version and the number of hashes of each package."""
    text = (ROOT / "requirements.lock").read_text()
    packages = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return {canonicalize_name(name): (version, rest.count("--hash=sha256:")) for name, version, rest in packages}


def required() -> list[Requirement]:
    """The run-time dependencies, and the extras of the image."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    of_image = extras["mysql"] + extras["postgresql"] + extras["encryption"] + extras["traces"]
    lines = [line for line in lines if line and not line.startswith("#")] + of_image
    return [Requirement(line) for line in lines]


def test_the_lock_holds_a_version_inside_each_range() -> None:
    versions = {name: version for name, (version, _) in locked().items()}
    outside = [str(r) for r in required() if not r.specifier.contains(versions.get(canonicalize_name(r.name), "0"))]
    assert not outside, f"make lock: {outside}"


def test_every_package_of_the_lock_has_hashes() -> None:
    assert len(locked()) > len(required())
    assert [name for name, (_, hashes) in locked().items() if not hashes] == []


def test_the_image_installs_the_lock_by_its_hashes() -> None:
    steps = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "pip install" in line]
    assert "--require-hashes -r requirements.lock" in steps[0]
    assert all("--no-deps" in step for step in steps[1:])
