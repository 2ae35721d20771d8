"""Who may call what: each route needs one scope of an API key, where keys are set. And the service behind them."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from face128 import api_keys
from face128.api.auth.throttle import Throttle, whose
from face128.api.metrics.prometheus import metrics_of
from face128.api_keys import ApiKey, Scope
from face128.errors import Forbidden, Throttled, Unauthorized
from face128.service.service import Service

log = logging.getLogger("face128")


async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Guard:
    """The keys of this service, and the addresses from which wrong ones come."""

    def __init__(self, api_keys: tuple[ApiKey, ...]) -> None:
        self._keys = api_keys
        self._throttle = Throttle()

    def admit(self, request: Request, scope: Scope) -> ApiKey | None:
        """The key by which the request is let in; None where none is asked for.

        Raises Unauthorized, Forbidden or Throttled, unless it has this scope.

        A right key that nobody can guess is admitted whatever else comes from its address: behind one proxy nobody
        locks others out. A short one could be the guess that hits, and waits with those who guess.
        """
        if not self._keys:
            return None
        given = _given(request)
        if not given:
            raise Unauthorized()  # no guess, and nothing to hold against anyone
        key = api_keys.find(given, self._keys)
        if key is None or len(given) < api_keys.SHORT:
            self._hold_up(request, failed=key is None)
        if key is None:
            raise Unauthorized()
        if scope not in key.scopes:
            raise Forbidden(f"This API key does not have the scope {scope}.", scope=scope)
        return key

    def _hold_up(self, request: Request, *, failed: bool) -> None:
        """Raise Throttled where the address has failed too often; else count this failure, if it is one."""
        address = whose(request.client.host if request.client else None)
        if wait := self._throttle.wait(address):
            raise Throttled(retry_after=wait)
        if not failed:
            return
        self._throttle.fail(address)
        if self._throttle.wait(address):
            log.warning("too many wrong API keys from %s: the next are answered 429 for a while", address)


class Needs(SecurityBase):
    """The dependency of a route that needs this scope. It runs before the body is read; OpenAPI tells of it."""

    model = HTTPBearer(description="An API key; X-API-Key takes it as well. Asked for where keys are set.")
    scheme_name = "api_key"

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope

    async def __call__(self, request: Request) -> None:
        guard: Guard = request.app.state.guard
        if (key := guard.admit(request, self.scope)) is not None:
            metrics_of(request).key(key.name)


def needs(scope: Scope) -> Any:
    return Security(Needs(scope), scopes=[scope])


def _given(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
