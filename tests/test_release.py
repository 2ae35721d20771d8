"""What a release consists of: one version everywhere, the same bytes when it is built again, only what may be in it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from paths import ROOT
from serving import environment

from face128 import __version__

EPOCH = "1700000000"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"release_{name}", ROOT / "release" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def release() -> ModuleType:
    return script("build")


def test_the_version_is_the_same_everywhere() -> None:
    """face128/__init__.py has it; the others cannot read it from there."""

    def found(path: str, pattern: str) -> set[str]:
        return set(re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE))

    clients = ROOT / "clients"
    lock = json.loads((clients / "package-lock.json").read_text())
    locked = [lock, *(lock["packages"][folder] for folder in ("client", "nestjs"))]
    versions = {
        "the newest of the CHANGELOG": found("CHANGELOG.md", r"\A(?s:.*?)\n## (\d\S+) - "),
        "the packages of README": found("README.md", r"face128-(?:client|nestjs)-(.+?)\.tgz"),
        "the wheel of docs/deploy/": found("docs/deploy/README.md", r"face128-(\d.+?)-py3"),
        "those of the example": found("clients/nestjs/examples/nestjs-app/package.json", r"face128-\w+-(.+?)\.tgz"),
        "the image's label": found("Dockerfile", r"org\.opencontainers\.image\.version=(\S+)"),
        "the image that Kubernetes starts": found("deploy/kubernetes/kustomization.yaml", r'newTag: "(.+)"'),
        "what the client sends": found("clients/client/src/http.ts", r"VERSION = '(.+)'"),
        "the client that nestjs needs": found("clients/nestjs/package.json", r'"@face128/client": "\^(.+)"'),
        "the npm lock": {package["version"] for package in locked},
        **{
            f"clients/{folder}": {json.loads((clients / folder / "package.json").read_text())["version"]}
            for folder in (".", "client", "nestjs")
        },
    }
    assert {name: version for name, version in versions.items() if version != {__version__}} == {}


@pytest.fixture(scope="module")
def built(release: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The files of two builds of the last commit."""
    pytest.importorskip("build", reason="pip install '.[release]'")
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no clone")
    return [release.build_from_commit(tmp_path_factory.mktemp(name), EPOCH) for name in ("one", "other")]


def test_a_second_build_has_the_same_bytes(built: list[list[Path]]) -> None:
    first, second = ({path.name: path.read_bytes() for path in files} for files in built)
    assert sorted(first) == [f"face128-{__version__}-py3-none-any.whl", f"face128-{__version__}.tar.gz"]
    assert first == second


def test_the_packages_pass_the_check_of_their_contents(release: ModuleType, built: list[list[Path]]) -> None:
    for path in built[0]:
        release.check_contents(path)


@pytest.mark.parametrize("name", ["face128/weights.dat", "tests/test_logs.py", "face128/gallery.sqlite"])
def test_a_package_with_what_must_not_be_in_it_is_refused(release: ModuleType, tmp_path: Path, name: str) -> None:
    wheel, sdist = tmp_path / "one.whl", tmp_path / "one.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        for each in (*release.REQUIRED, name):
            archive.writestr(each, "")
    (tmp_path / "empty").touch()
    with tarfile.open(sdist, "w:gz") as tar:
        for each in (*release.REQUIRED, name):
            tar.add(tmp_path / "empty", f"face128-1.0/{each}")
    for path in (wheel, sdist):
        with pytest.raises(SystemExit, match=name):
            release.check_contents(path)


def test_an_incomplete_package_is_refused(release: ModuleType, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as archive:
        archive.writestr(release.REQUIRED[0], "")
    with pytest.raises(SystemExit, match=release.REQUIRED[1]):
        release.check_contents(tmp_path / "one.whl")


def test_the_workflow_publishes_only_where_it_is_switched_on() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    jobs = workflow["jobs"]
    assert set(jobs) == {"build", "python", "npm", "image", "site"}
    commands = [step.get("run", "") for step in jobs["build"]["steps"]]
    assert "make dist" in commands
    for name in ("wheels", "try_wheel"):
        assert any(f"release/{name}.py" in command for command in commands)
    for name in set(jobs) - {"build"}:
        assert jobs[name]["needs"] == "build"
        assert jobs[name]["if"].startswith("vars.PUBLISH == 'true' && ")


def test_every_supported_python_is_asked_for_wheels() -> None:
    supported = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    assert list(supported.filter(f"3.{minor}" for minor in range(20))) == list(script("wheels").PYTHONS)


def test_what_operators_install_is_asked_for_wheels() -> None:
    ranges = script("wheels").ranges()
    assert all(line in ranges for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert "psycopg[binary]" in ranges
    assert "pymilvus" in ranges
    assert "pytest" not in ranges


def test_pip_finds_the_wheel_in_the_index(tmp_path: Path) -> None:
    name = "face128-9.9-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        wheel.writestr("face128-9.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: face128\nVersion: 9.9\n")
        wheel.writestr("face128-9.9.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    with script("try_wheel").index(tmp_path / name, tmp_path / "index") as url:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--index-url", url, "-d", tmp_path / "got"]
        subprocess.run([*command, "face128"], check=True, timeout=60, capture_output=True)
    assert (tmp_path / "got" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_the_command_serves_from_a_folder_that_nobody_can_write(tmp_path: Path) -> None:
    try_wheel = script("try_wheel")
    if not try_wheel.READ_ONLY.exists():
        pytest.skip("this system has no such folder")
    settings = environment(FACE128_DATA=str(tmp_path))
    try_wheel.try_out([sys.executable, "-m", "face128"], try_wheel.READ_ONLY, settings, __version__)
    with pytest.raises(SystemExit, match="ended with 3 before it was ready"):
        try_wheel.try_out([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, settings, __version__)
