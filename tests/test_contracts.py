"""Replays the contract vectors of /match over HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from paths import FIXTURES
from serving import serving

FILES = sorted((FIXTURES / "contracts").glob("match*.json"))
VECTORS = [pytest.param(vector, id=vector["name"]) for file in FILES for vector in json.loads(file.read_text("utf-8"))]


@pytest.fixture(scope="module")
def service_for(fake_service: httpx.Client) -> Iterator[Callable[[str], httpx.Client]]:
    """The service that decides by these models; one is started where it is first asked for."""
    clients = {"dlib": fake_service}
    with ExitStack() as stack:

        def get(models: str) -> httpx.Client:
            if models not in clients:
                settings = {"FACE128_ENGINES": "fake", "FACE128_DECISION_MODELS": models}
                clients[models] = stack.enter_context(serving(**settings))
            return clients[models]

        yield get


@pytest.mark.parametrize("vector", VECTORS)
def test_the_service_answers_as_the_contract_says(
    service_for: Callable[[str], httpx.Client], vector: dict[str, Any]
) -> None:
    body = vector["raw"] if "raw" in vector else json.dumps(vector["request"])
    service = service_for(vector.get("decision_models", "dlib"))
    response = service.post("/match", content=body.encode(), params=vector.get("query"))
    answer, expected = response.json(), vector["response"]
    if "error" in expected:
        assert isinstance(answer.pop("error"), str)
        expected = {name: value for name, value in expected.items() if name != "error"}
    if (risk := expected.get("stranger_risk")) is not None:
        answer["stranger_risk"] = risk if answer["stranger_risk"] == pytest.approx(risk, rel=1e-9) else math.nan
    assert (response.status_code, answer) == (vector["status"], expected)
    # As text, because in Python 1029 == 1029.0 and True == 1.
    assert json.dumps(answer, sort_keys=True) == json.dumps(expected, sort_keys=True)
