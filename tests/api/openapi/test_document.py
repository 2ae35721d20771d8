"""The OpenAPI document and the service agree: schemathesis tests the real service with all its checks.

No answer is a server error; status, shape, content type and headers are documented; what the document forbids is
refused; a request without a key is refused. The settings are in tests/support/openapi/. SCHEMATHESIS_EXAMPLES=500
tests more requests, SCHEMATHESIS_SEED=1 others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
from paths import TESTS
from serving import serving

from face128.api.app import create_app
from face128.settings import Settings

FOLDER = TESTS / "support" / "openapi"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")
SEED = os.environ.get("SCHEMATHESIS_SEED", "128")


# Long enough not to be throttled after wrong keys.
KEY = "schemathesis-" + 43 * "k"


def schemathesis(client: httpx.Client, examples: int, *options: str) -> None:
    """Run it on this service, with ``examples`` requests a route, unless SCHEMATHESIS_EXAMPLES is set."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml"), "run"]
    # It does not resolve the relative URL in `servers`.
    command += [f"{client.base_url}/openapi.json", "--url", str(client.base_url)]
    command += ["--seed", SEED, "--max-examples", EXAMPLES or str(examples)]
    hooks = {"SCHEMATHESIS_HOOKS": "asking", "PYTHONPATH": str(FOLDER), "SCHEMATHESIS_KEY": KEY}
    run = subprocess.run([*command, *options], env=os.environ | hooks, capture_output=True, text=True)
    assert run.returncode == 0, "\n".join(line[:200] for line in (run.stdout + run.stderr).splitlines())


def test_schemathesis_finds_nothing_where_keys_are_set() -> None:
    with serving(FACE128_ENGINES="fake", API_KEY=KEY, FACE128_TRUSTED_PROXIES="127.0.0.0/8") as client:
        schemathesis(client, 10)


def test_schemathesis_finds_nothing_with_real_photos_and_no_key() -> None:
    photos = "^POST /(encode-image|detect|verify-face|extract-embedding|compare|records|enroll_faces|match_face)"
    with serving() as client:
        schemathesis(client, 5, "--include-name-regex", photos, "--phases", "examples,fuzzing", "--mode", "positive")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(engines=("fake", "dlib"))).openapi()


def test_the_document_has_only_our_shape_of_errors(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(document)
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers = [
        answer["content"]
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]
    assert len(answers) > 50
    assert all(answer == problem for answer in answers)


def test_the_document_names_the_engines_of_this_service(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/encode-image"]["post"]["parameters"]
    engine = next(parameter for parameter in parameters if parameter["name"] == "engine")
    assert engine["schema"]["enum"] == ["fake", "dlib"]


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for path in document["paths"].values() for each in path.values()}


def test_a_key_is_optional_where_none_is_set(document: dict[str, Any]) -> None:
    with_keys = create_app(Settings(engines=("fake",), api_keys="a-key-of-its-own")).openapi()  # type: ignore[arg-type]
    assert operations(with_keys)["match"]["security"] == [{"api_key": ["match"]}]
    assert operations(document)["match"]["security"] == [{"api_key": ["match"]}, {}]
    for openapi in (document, with_keys):
        without = {name for name, operation in operations(openapi).items() if "security" not in operation}
        assert without == {"health", "ready"}


def test_operations_are_named_in_words(document: dict[str, Any]) -> None:
    assert len(operations(document)) == sum(len(path) for path in document["paths"].values())
    assert {"match", "encode_image", "list_records", "read_record", "upload_list"} < operations(document).keys()
    assert operations(document)["list_records"]["summary"] == "List records"


def test_every_code_of_an_answer_is_in_the_document(document: dict[str, Any]) -> None:
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert {"bad_image", "unknown_list", "method_not_allowed", "internal"} < set(codes)
    assert "configuration" not in codes  # the command line's


def test_the_answer_to_a_wrong_method_lists_all_right_ones(fake_service: httpx.Client) -> None:
    assert fake_service.put("/records").headers["Allow"] == "GET, POST"
    assert fake_service.options("/records/some-id").headers["Allow"] == "DELETE, GET"
    assert fake_service.request("TRACE", "/enroll_faces/a/b").headers["Allow"] == "DELETE, POST"
    assert fake_service.get("/match").headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_load_balancer_may_ask_with_head(fake_service: httpx.Client, path: str) -> None:
    answer = fake_service.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_empty_engine_is_no_engine(fake_service: httpx.Client) -> None:
    answer = fake_service.post("/detect?engine=", files={"image": b"x"})
    assert (answer.status_code, answer.json()["field"]) == (422, "engine")
