"""Dependencies of the routes: an API key with the scope that a route needs, if keys are set, and the service."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from face128.api.auth.collection import requested_collection
from face128.api.auth.throttle import Throttle, client_network
from face128.api.metrics.prometheus import metrics_of
from face128.api_keys import SAFE_SECRET_CHARACTERS, ApiKey, Scope, find_key
from face128.caller import caller
from face128.errors import Forbidden, Throttled, Unauthorized
from face128.service.service import Service

log = logging.getLogger("face128")


async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Guard:
    """Checks the API key of a request, and throttles clients that send wrong keys."""

    def __init__(self, api_keys: tuple[ApiKey, ...]) -> None:
        self._keys = api_keys
        self._throttle = Throttle()

    def check(self, request: Request, scope: Scope) -> ApiKey | None:
        """The key of the request; None if no keys are set.

        Raises Unauthorized without a valid key, Forbidden if it lacks the scope, Throttled after many wrong keys.

        A long valid key is admitted even from a throttled network: clients behind one proxy cannot lock each other
        out. A short valid key may be a lucky guess, so it is throttled like a wrong one.
        """
        if not self._keys:
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        if not secret:
            raise Unauthorized()  # not a guess, so not counted as a failure
        key = self.identify(secret, request)
        if scope not in key.scopes:
            raise Forbidden(f"This API key does not have the scope {scope}.", scope=scope)
        metrics_of(request).count_key_request(key.name)
        return key

    @property
    def has_keys(self) -> bool:
        return bool(self._keys)

    def identify(self, secret: str, request: Request) -> ApiKey:
        """The key with this secret. Raises Unauthorized and Throttled as ``check`` does."""
        key = find_key(secret, self._keys)
        if key is None or len(secret) < SAFE_SECRET_CHARACTERS:
            network = client_network(request.client.host if request.client else None)
            if seconds := self._throttle.retry_after(network):
                raise Throttled(retry_after=seconds)
        if key is None:
            self._throttle.add_failure(network)
            if self._throttle.retry_after(network):
                log.warning("too many wrong API keys from %s: the next are answered 429 for a while", network)
            raise Unauthorized()
        return key

    def key_with_hash(self, sha256: str) -> ApiKey | None:
        """The key with this SHA-256, in hex; None if the settings do not have it."""
        return next((key for key in self._keys if key.digest.hex() == sha256), None)


class ScopeDependency(SecurityBase):
    """Checks the key of a request to a route, before its body is read. OpenAPI documents the scope."""

    model = HTTPBearer(description="An API key; the header X-API-Key works as well. Needed if the service has keys.")
    scheme_name = "api_key"

    def __init__(self, scope: Scope, error_fields: dict[str, Any]) -> None:
        self._scope: Scope = scope
        self._error_fields = error_fields

    async def __call__(self, request: Request) -> None:
        check_request(request, self._scope, self._error_fields)


def check_request(request: Request, scope: Scope, error_fields: dict[str, Any]) -> None:
    """As Guard.check; also notes on ``request.state`` who owns what it uploads, and its collection.

    Raises as requested_collection does, too. Later errors have the ``error_fields``.
    """
    key: ApiKey | None = request.app.state.guard.check(request, scope)
    note_key(request, key, error_fields)


def note_key(request: Request, key: ApiKey | None, error_fields: dict[str, Any]) -> None:
    """Note whose request this is: as ``check_request`` does, for a key that has been checked."""
    request.state.owner = key.digest.hex() if key else ""
    caller.set(key.name if key else "")
    request.state.error_fields = error_fields
    request.state.collection = requested_collection(request, key)


def needs(scope: Scope, **error_fields: Any) -> list[Any]:
    """The dependencies of a route that needs a key. The route's later errors also have ``error_fields``."""
    return [Security(ScopeDependency(scope, error_fields), scopes=[scope])]
