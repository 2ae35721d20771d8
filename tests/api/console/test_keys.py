"""The keys over HTTP: what each opens and when it was last used, and nothing that would open anything."""

from __future__ import annotations

import re

import httpx
from console_service import KEY_SCOPES, SECRETS, SITE, console_service

from face128.api_keys import hash_secret


def rows(page: str) -> dict[str, str]:
    """By the name of the key."""
    found = re.findall(r'<th scope="row">([\w-]+).*?</tr>', page, re.DOTALL)
    texts = re.findall(r'<th scope="row">[\w-]+.*?</tr>', page, re.DOTALL)
    return dict(zip(found, texts, strict=True))


def test_the_last_use_is_that_of_any_worker_and_no_secret_is_shown() -> None:
    with console_service(workers=2, FACE128_ENGINES="fake") as console, console.client() as client:
        for _ in range(6):  # a new connection each: any worker
            headers = {"Authorization": f"Bearer {SECRETS['match']}"}
            httpx.post(
                f"{console.url}/match", json={"descriptor": [0] * 128, "enrolled": []}, headers=headers, timeout=60
            )
            page = httpx.get(f"{console.url}/console/keys", cookies=client.cookies, timeout=60)
            assert page.status_code == 200
            found = rows(page.text)
            assert found.keys() == KEY_SCOPES.keys()
            assert "<time" in found["match"]
            assert "not since the start" in found["encode"]
        for name, scopes in KEY_SCOPES.items():
            assert SECRETS[name] not in page.text
            assert hash_secret(SECRETS[name]).hex()[:16] not in page.text
            shown = set(re.findall(r'<span class="tag">(match|encode|gallery|admin)</span>', found[name]))
            assert shown == scopes
        assert SITE in found[SITE].partition('data-label="Collection"')[2]


def test_plain_and_short_keys_are_warned_of_and_none_at_all() -> None:
    service = console_service(keys=False, FACE128_ENGINES="fake", API_KEY="short-secret")
    with service as console, console.client(None) as client:
        assert client.post("/console/sign-in", data={"key": "short-secret"}).status_code == 303
        page = client.get("/console/keys").text
        assert "might be guessed" in page
        assert "in clear in the settings" in page
        assert "short-secret" not in page
    with console_service(keys=False, FACE128_ENGINES="fake") as console, console.client(None) as client:
        assert "The service has no keys" in client.get("/console/keys").text
