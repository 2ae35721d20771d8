"""API keys, and the service behind the routes."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request

from face128.errors import Unauthorized
from face128.service import Service


def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


def require_key(request: Request, service: ServiceDep) -> None:
    """Refuse a caller without one of the keys, where keys are set. It runs before the body is read."""
    keys = service.settings.api_keys
    if not keys:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    # Every key is tried, on digests of one length: the time tells nothing about any of them.
    matches = [hmac.compare_digest(_digest(given), _digest(key.get_secret_value())) for key in keys]
    if not any(matches):
        raise Unauthorized()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
