"""docs/deploy/: the last commands of each page, with a key of the page's scopes, end with the member's name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_pages import DOCS, LINK, fenced_blocks, prose, shell_blocks
from paths import ROOT
from serving import serving

PAGES = [page for page in sorted((DOCS / "deploy").glob("*.md")) if page.name != "README.md"]
NEW_KEY = re.compile(r"face128 keys new backend --scopes (\S+)")
PLATFORM_FILES = {
    "compose": {"compose.yml"},
    "kubernetes": {"kubernetes/kustomization.yaml", "kubernetes/deployment.yaml"},
    "render": {"render.yaml"},
    "railway": {"railway.json"},
    "fly": {"fly.toml"},
    "systemd": {"face128.service"},
}


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, str]]:
    """A service with the key that the pages tell to make: its address, and the key."""
    (scopes,) = {scopes for page in PAGES for scopes in NEW_KEY.findall(page.read_text())}
    command = [sys.executable, "-m", "face128", "keys", "new", "backend", "--scopes", scopes]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    words = dict(line.split()[:2] for line in made.splitlines() if line.startswith(("key ", "entry ")))
    with serving(FACE128_API_KEYS=words["entry"]) as client:
        yield str(client.base_url).rstrip("/"), words["key"]


def test_there_is_a_page_for_each_platform() -> None:
    assert {page.stem for page in PAGES} == PLATFORM_FILES.keys()
    assert {page.name for page in PAGES} <= set(LINK.findall(prose(DOCS / "deploy" / "README.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_its_files(page: Path) -> None:
    linked = {
        (page.parent / link).resolve() for link in LINK.findall(prose(page)) if ":" not in link and "#" not in link
    }
    assert {ROOT / "deploy" / name for name in PLATFORM_FILES[page.stem]} <= linked


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_last_commands_find_the_member(page: Path, service: tuple[str, str], tmp_path: Path) -> None:
    url, key = service
    assert NEW_KEY.search(page.read_text())
    (block,) = (block for block in shell_blocks(page) if '"$URL/match"' in block)
    block, named = re.subn(r"^URL=https?://\S+[^/\s]$", f"URL={url}", block, flags=re.MULTILINE)
    block, keyed = re.subn(r"^KEY=face128_\.\.\.$", f"KEY={key}", block, flags=re.MULTILINE)
    assert (named, keyed) == (1, 1)
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    script = "set -e\n" + block.replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {"regNo": 1029, "name": "Barack Obama"}
    assert '\n# {"regNo":1029,"name":"Barack Obama"}\n' in block


def test_the_pages_name_what_the_files_of_the_platforms_expect() -> None:
    text = {page.stem: page.read_text() for page in PAGES}
    (pod,) = re.findall(r"secretName: (\w+)", (ROOT / "deploy/kubernetes/deployment.yaml").read_text())
    (file,) = re.findall(r"value: /secrets/(\S+)}", (ROOT / "deploy/kubernetes/deployment.yaml").read_text())
    assert f"kubectl create secret generic {pod} --from-literal={file}=" in text["kubernetes"]
    unit = dict(re.findall(r"^(\w+)=(\S+)", (ROOT / "deploy/face128.service").read_text(), re.MULTILINE))
    assert f"{unit['ExecStart']} doctor" in text["systemd"]
    assert f"install -m 600 /dev/null {unit['EnvironmentFile']}" in text["systemd"]
    for example in (ROOT / "deploy").glob("*.env.example"):
        assert f"cp {example.name} {example.stem}\n" in text["compose"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubernetes_gets_the_image_that_the_page_names(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "deploy" / "kubernetes", tmp_path / "kubernetes")
    page = DOCS / "deploy" / "kubernetes.md"
    (images,) = fenced_blocks(page, "yaml")
    file = folder / "kustomization.yaml"
    file.write_text(file.read_text().partition("images:")[0] + images)
    made = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    (image,) = re.findall(r"image: (\S+)", made)
    assert f"docker push {image}\n" in page.read_text()
