"""FACE128_ROOT_PATH: the prefix of a proxy that passes paths on whole. Paths without it are served as well."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """ASGI middleware: takes the prefix off the path. All links of the service's pages are relative, or have it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._prefix}/"):
            scope["path"] = scope["path"].removeprefix(self._prefix) or "/"
            scope["raw_path"] = scope.get("raw_path", b"").removeprefix(self._prefix.encode()) or b"/"
        await self.app(scope, receive, send)
