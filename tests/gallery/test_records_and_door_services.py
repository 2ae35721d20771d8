"""Every example of the records and door services, and the records service's Python client, on every database.

With descriptors of 128 and of 512 numbers; whether rows of either fit is the business of the gallery's own tests.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

import httpx
import insight_packs
import pytest
from paths import SHARED
from replay import replay
from serving import PHOTOS, serving

SEED = SHARED / "seeds" / "2-records-deepface-faiss.md"
DATABASES_AND_ENGINES = [
    ("sqlite", "dlib"),
    ("sqlite", "insightface"),
    ("mariadb", "insightface"),
    ("postgresql", "dlib"),
]


@pytest.fixture(scope="module", params=DATABASES_AND_ENGINES, ids="-".join)
def service(request: pytest.FixtureRequest, new_gallery: Callable[[str], str]) -> Iterator[httpx.Client]:
    kind, engine = request.param
    pack = {"FACE128_INSIGHTFACE_PACK": str(insight_packs.sample_pack())} if engine == "insightface" else {}
    with serving(FACE128_DATABASE_URL=new_gallery(kind), FACE128_ENGINES=engine, **pack) as client:
        yield client


@pytest.fixture
def client(service: httpx.Client) -> Iterator[httpx.Client]:
    """An empty gallery."""
    yield service
    for record in service.get("/records").json()["records"]:
        service.delete(f"/records/{record['id']}")


def test_every_example_is_answered_as_documented(client: httpx.Client) -> None:
    assert replay(client, "records-service.json") == 10
    assert replay(client, "door-service.json") == 8


def test_a_person_is_verified_as_the_contract_says(client: httpx.Client) -> None:
    if client.get("/health").json()["model"] != "dlib-resnet-v1":
        pytest.skip("the vectors have descriptors of 128 numbers")
    assert replay(client, "verify.json") == 18


def test_the_records_service_s_python_client_runs_unchanged_apart_from_file_names(client: httpx.Client) -> None:
    if not SEED.exists():
        pytest.skip("the document of the records service is not here")
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", SEED.read_text(), re.DOTALL) if "BASE_URL" in block
    )
    code = code.replace("import requests\n", "").replace("http://localhost:8000", str(client.base_url).rstrip("/"))
    code = code.replace('"john_doe.jpg"', repr(str(PHOTOS / "obama-2009.jpg")))
    code = code.replace('"unknown.jpg"', repr(str(PHOTOS / "obama-2012.jpg")))
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(code, {"requests": httpx})
    assert "Total records: 1" in printed.getvalue()
    assert "Recognized: John Doe" in printed.getvalue()
    assert json.loads(printed.getvalue().splitlines()[-1].replace("'", '"'))["code"] == "not_found"
