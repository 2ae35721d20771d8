"""The image, built from the Dockerfile without Docker or a registry, and run as strictly as a cluster would.

Only with CHECK_IMAGE=1 (`make check-image`): it takes some minutes, as root on Debian with buildah and debootstrap. The
base is made from Debian's packages. IMAGE_MOUNTS names files and folders that pip needs for an index of one's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from memory_cgroup import limited_memory
from paths import ROOT
from serving import free_port, photo, ready

pytestmark = [
    pytest.mark.skipif(not os.environ.get("CHECK_IMAGE"), reason="takes minutes: make check-image"),
    pytest.mark.timeout(3600),
]

BASE, IMAGE = "docker.io/library/debian:bookworm-slim", "localhost/face128"
MAX_IMAGE_MB = 450
MEMORY_BYTES = 512 * 2**20
USER = 10001
UNUSED_IN_A_SLIM_BASE = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
BUILDAH = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
NOT_PASSED_ON = ("shape_predictor_68_face_landmarks.dat", "mmod_human_face_detector.dat")
# A read-only root, two folders in memory, one core, a user without rights.
STRICT = """
set -e
mount --bind {root} {root}
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
mount -t tmpfs -o mode=700,uid={user} tmpfs {root}/data
mount --rbind /dev {root}/dev
mount -o remount,ro,bind {root}
exec taskset -c 0 chroot --userspec={user}:{user} {root} /usr/bin/env -i PATH=/opt/face128/bin:/usr/bin:/bin \\
    FACE128_HOST=127.0.0.1 FACE128_DATA=/data PORT={port} ORT_DISABLE_TELEMETRY=1 face128 serve
"""


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=BUILDAH, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the image."""
    need("buildah", "unshare")
    if not buildah("images", "--quiet", "--filter", f"reference={BASE}"):
        need("debootstrap")
        make_base(tmp_path_factory.mktemp("base") / "root")
    mounts = [part for path in os.environ.get("IMAGE_MOUNTS", "").split() for part in ("--volume", f"{path}:{path}:ro")]
    buildah("bud", "--layers", "--pull-never", "--format", "docker", *mounts, "-t", IMAGE, str(ROOT))
    container = buildah("from", "--pull-never", IMAGE)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.fail(f"{program} is not installed")


def make_base(folder: Path) -> None:
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", folder], check=True, stdout=subprocess.DEVNULL)
    for unused in UNUSED_IN_A_SLIM_BASE:
        shutil.rmtree(folder / unused, ignore_errors=True)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(folder), "/")
    buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    buildah("commit", "--quiet", "--rm", container, BASE)


def test_it_is_small_and_passes_nothing_on_that_it_must_not(root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    print(f"\nthe image has {megabytes:.0f} MB")
    assert megabytes <= MAX_IMAGE_MB
    assert not {path.name for path in files} & {*NOT_PASSED_ON, "pip", "gcc", "perl"}
    assert not [path for path in files if path.match("site-packages/*/tests/*")]


def test_it_serves_as_a_user_without_rights_on_a_read_only_root_with_little_memory(root: Path, tmp_path: Path) -> None:
    port = free_port()
    script = STRICT.format(root=root, user=USER, port=port)
    with limited_memory(MEMORY_BYTES) as (prefix, kills):
        log = tmp_path / "log"
        with log.open("wb") as stderr:
            service = subprocess.Popen([*prefix, "unshare", "--mount", "sh", "-c", script], stderr=stderr)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                assert ready(client, service, "/ready"), log.read_text()[:5000]
                files = {"file": photo("obama-2009.jpg")}
                assert client.post("/encode-image", files=files).status_code == 200
                assert client.post("/enroll_faces/1", files=files, data={"name": "A"}).status_code == 200
                assert client.post("/match_face", files=files).json()["status"] == "access_granted"
                assert client.get("/console/people").status_code == 200
            uids = [line for line in Path(f"/proc/{service.pid}/status").read_text().splitlines() if "Uid" in line]
            assert set(uids[0].split()[1:]) == {str(USER)}
        finally:
            service.terminate()
            service.wait(60)
        assert kills() == 0
        time.sleep(0.1)  # its processes leave the group
