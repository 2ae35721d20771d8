"""What importing face128 and its library loads: nothing that is not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import face128

LARGE = {"numpy", "PIL", "pydantic", "typing", "dlib", "onnxruntime", "fastapi", "sqlalchemy", "faiss"}
SERVICE = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "prometheus_client", "typer"}
ENGINES = {"dlib", "_dlib_pybind11", "onnxruntime", "onnx"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import face128; face128.__version__, dir(face128)", LARGE),
        ("import face128; face128.Encoder()", SERVICE),
        ("from face128 import Matcher; Matcher([]).match([0.0] * 128)", SERVICE | ENGINES),
        ("import face128.face_recognition as f; f.face_locations(f.np.zeros((99, 99, 3), 'u1'))", SERVICE),
    ],
)
def test_a_statement_imports_none_of_these(statement: str, absent: set[str]) -> None:
    statement = statement.replace("f.np", "__import__('numpy')")
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not absent & set(done.stdout.split())


def test_the_names_are_found_and_others_are_not() -> None:
    assert {"Encoder", "Matcher"} <= set(dir(face128))
    with pytest.raises(AttributeError, match="no attribute 'Decoder'"):
        face128.Decoder  # noqa: B018
