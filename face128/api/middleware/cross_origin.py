"""While no keys are set: pages that a browser shows cannot use the service on the user's machine.

A page of any site may send requests to 127.0.0.1. The browser says so in ``Origin`` or ``Sec-Fetch-Site``, which no
page can forge. With DNS rebinding, a page makes its own name point to 127.0.0.1; the browser then takes the service for
the page's own server, but still sends that name as ``Host``. Clients that are no browsers send neither ``Origin`` nor
``Sec-Fetch-Site``.
"""

from __future__ import annotations

from functools import lru_cache

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from face128.errors import Face128Error, ForeignOrigin, UnknownHost
from face128.network_names import is_loopback, is_of_host, without_port
from face128.settings import Settings

PROBES = ("/health", "/ready")  # supervisors ask under any name, and the answers are no secret
# Another site may link to them: they do nothing, and it cannot read them.
DOCUMENTS = ("/", "/docs", "/docs/", "/console", "/console/")
MAX_CACHED_HEADERS = 128


class CrossOriginProtection:
    """ASGI middleware: refuses requests of foreign origins, and under foreign names where those are known."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._origins = {origin.encode() for origin in settings.cors_origins}
        self._hosts = settings.allowed_hosts
        # Beyond loopback, nobody but the operator knows the names of this machine.
        self._any_host = "*" in self._hosts or not (self._hosts or settings.on_loopback)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(scope)):
            scope["app"].state.metrics.count_error(error.code)
            await JSONResponse(error.body(), error.status)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Face128Error | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"")
        if host and not self._any_host and scope["path"] not in PROBES and not self._is_known(host):
            return UnknownHost()
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if (origin is None and site is None) or site == b"same-origin" or origin in self._origins:
            return None
        if site in (b"cross-site", b"same-site"):  # same-site: another port of this machine, say
            return None if _opens_document(scope, headers) else ForeignOrigin()
        return None if origin is None or _is_own(origin, host) else ForeignOrigin()

    def _is_known(self, host: bytes) -> bool:
        name = _name(host)
        return name in self._hosts or _is_loopback(name)


def _opens_document(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether somebody followed a link to a page of the service."""
    navigates = headers.get(b"sec-fetch-mode") == b"navigate" and scope["method"] in ("GET", "HEAD")
    return navigates and scope["path"] in DOCUMENTS


_is_loopback = lru_cache(MAX_CACHED_HEADERS)(is_loopback)


@lru_cache(MAX_CACHED_HEADERS)
def _is_own(origin: bytes, host: bytes) -> bool:
    return is_of_host(origin.decode("latin-1"), host.decode("latin-1"))


@lru_cache(MAX_CACHED_HEADERS)
def _name(host: bytes) -> str:
    return without_port(host.decode("latin-1"))
