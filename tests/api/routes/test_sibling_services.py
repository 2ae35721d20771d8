"""Replays the examples of the InsightFace and embeddings services: the fields that they show, types and nesting."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from paths import FIXTURES

EXAMPLES = [
    pytest.param(example, id=f"{service}: {example['name']}")
    for service in ("insightface-service", "embeddings-service")
    for example in json.loads((FIXTURES / "contracts" / f"{service}.json").read_text())
]


def in_base64(value: Any) -> Any:
    if isinstance(value, str):
        return base64.b64encode((FIXTURES / value).read_bytes()).decode()
    if isinstance(value, list):
        return [in_base64(item) for item in value]
    return {name: in_base64(item) for name, item in value.items()}


def assert_alike(example: Any, answer: Any, at: str) -> None:
    """The answer has every field of the example, with its type; every item of a list is like the example's first."""
    if isinstance(example, dict):
        assert isinstance(answer, dict), at
        for name, value in example.items():
            assert name in answer, f"{at}.{name}"
            assert_alike(value, answer[name], f"{at}.{name}")
    elif isinstance(example, list):
        assert isinstance(answer, list), at
        assert answer, at
        for index, item in enumerate(answer):
            assert_alike(example[0], item, f"{at}[{index}]")
    else:
        assert type(answer) is type(example), at


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_answered_in_its_shape(either_service: httpx.Client, example: dict[str, Any]) -> None:
    request = dict(example["request"])
    files = {field: (FIXTURES / name).read_bytes() for field, name in request.pop("files", {}).items()}
    body = in_base64(request.pop("base64", {}))
    answer = either_service.request(request["method"], request["path"], files=files or None, json=body or None)
    assert answer.status_code == example["status"]
    assert_alike(example["response"], answer.json(), "answer")
    for field in example.get("exact", []):
        assert answer.json()[field] == example["response"][field]


def test_an_example_that_differs_is_noticed() -> None:
    for answer in ({}, {"a": 1}, {"a": []}, {"a": [1]}, {"a": {"b": 1}}):
        with pytest.raises(AssertionError):
            assert_alike({"a": [{"b": "text"}]}, answer, "answer")
