"""Builds what a release consists of, from the last commit, into dist/; publishes nothing.

    make dist

Wheel and sdist are built twice, in two folders, and must have the same bytes. They are checked: by twine, and for what
must be in them and what must not. Beside them: the two npm packages, a CycloneDX SBOM of the Python packages in
requirements.lock and one of each npm package, and SHA256SUMS over all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
NPM_PACKAGES = ("client", "nestjs")
REQUIRED = ("face128/__main__.py", "face128/py.typed", "face128/api/console/static/console.css")
# Weights, other people's photos and data, and what only the repository needs.
FORBIDDEN = re.compile(r"\.(dat|onnx|caffemodel|sqlite|npz|pem|key|env)$|(^|/)(tests|benchmarks|shared|node_modules)/")


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    epoch = said("git", "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        built = [build_from_commit(Path(folder), epoch) for folder in (one, other)]
        for first, second in zip(*built, strict=True):
            if first.read_bytes() != second.read_bytes():
                sys.exit(f"{first.name} has other bytes when it is built again")
            shutil.copy(first, DIST)
    for path in DIST.iterdir():
        check_contents(path)
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, DIST.iterdir()))
    sbom = ("--output-reproducible", "--of", "JSON", "-o", str(DIST / "face128-python.cdx.json"))
    run(sys.executable, "-m", "cyclonedx_py", "requirements", *sbom, "requirements.lock")
    for package in NPM_PACKAGES:
        run("npm", "pack", "--silent", "--pack-destination", str(DIST), "-w", package, folder=ROOT / "clients")
        bill = said(
            "npm", "sbom", "--sbom-format", "cyclonedx", "--omit", "dev", "-w", package, folder=ROOT / "clients"
        )
        (DIST / f"face128-{package}.cdx.json").write_text(bill + "\n")
    files = sorted(DIST.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


def build_from_commit(folder: Path, epoch: str) -> list[Path]:
    """The wheel and the sdist of the last commit. What is not committed is not in them."""
    source, out = folder / "source", folder / "out"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(source, filter="data")
    environment = os.environ | {"SOURCE_DATE_EPOCH": epoch}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    for sdist in out.glob("*.tar.gz"):
        normalise(sdist, int(epoch))
    return sorted(out.iterdir())


def normalise(sdist: Path, epoch: int) -> None:
    """Setuptools writes the times of the files, their owner, and the present time into an sdist."""
    with tarfile.open(sdist) as tar:
        members = [(member, tar.extractfile(member)) for member in tar.getmembers()]
        entries = [(member, file.read() if file else b"") for member, file in members]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in sorted(entries, key=lambda entry: entry[0].name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.pax_headers = {}
            tar.addfile(member, io.BytesIO(content) if member.isfile() else None)
    sdist.write_bytes(gzip.compress(packed.getvalue(), mtime=epoch))


def check_contents(path: Path) -> None:
    """Of a wheel, or of an sdist, whose first folder is its own name."""
    if path.suffix == ".whl":
        names = zipfile.ZipFile(path).namelist()
    else:
        with tarfile.open(path) as tar:
            names = [name.partition("/")[2] for name in tar.getnames()]
    missing, wrong = set(REQUIRED) - set(names), [name for name in names if FORBIDDEN.search(name)]
    if missing or wrong:
        sys.exit(f"{path.name}: missing {sorted(missing)}, not allowed {wrong}")


def run(*command: str, folder: Path = ROOT) -> None:
    subprocess.run(command, cwd=folder, check=True)


def said(*command: str, folder: Path = ROOT) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
