"""What a release consists of: the same bytes when it is built again, and only what may be in it."""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from paths import ROOT

from face128 import __version__

EPOCH = "1700000000"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_build", ROOT / "release" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert set(jobs) == {"build", "python", "npm", "image"}
    assert {"run": "make dist"} in jobs["build"]["steps"]
    for name in set(jobs) - {"build"}:
        assert jobs[name]["needs"] == "build"
        assert jobs[name]["if"].startswith("vars.PUBLISH == 'true' && ")
