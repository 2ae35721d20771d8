"""Builds the application. Importing does no work: settings are checked here, weights are loaded in the lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from face128 import __version__
from face128.api.auth.guard import Guard
from face128.api.metrics.prometheus import Metrics
from face128.api.middleware.body_memory import BodyMemory
from face128.api.middleware.cross_origin import CrossOriginProtection
from face128.api.middleware.overload import OverloadControl
from face128.api.middleware.path_prefix import PathPrefix
from face128.api.middleware.request_log import RequestLog
from face128.api.openapi import swagger_page
from face128.api.openapi.document import DocumentedApp
from face128.api.responses.error_handlers import install_error_handlers
from face128.api.routes import (
    collections,
    decisions,
    enrolment,
    faces,
    jobs,
    lists,
    match_and_encode,
    operations,
    people,
    records,
    start_page,
    verify,
)
from face128.events import set_listener
from face128.service.service import Service
from face128.settings import Settings, load_settings
from face128.spans import set_tracer
from face128.traces.start import start_sending
from face128.workers.process_pool import ProcessPool

DESCRIPTION = """
Whose face is this? 128-d face descriptors, exactly dlib's and much faster.

Every error is `{"error": sentence, "code": code, ...}` with a stable code. If the service has API keys, send
`Authorization: Bearer KEY` or `X-API-Key: KEY`; `/health` and `/ready` need none. Each route needs one scope of the
key: `match` (search and compare faces), `encode` (photos to boxes and descriptors), `gallery` (who is enrolled) or
`admin` (metrics and maintenance). The route's security scheme names it as its role.
"""


def create_app(
    settings: Settings | None = None, process_pool: ProcessPool | None = None, *, among_workers: bool = False
) -> FastAPI:
    """Build the application; without ``settings`` they are read from the environment.

    ``process_pool`` is one that already loads its engines. ``among_workers``: it takes no connection before it has
    loaded them, since another worker may serve it meanwhile. Raises ConfigurationError if the settings are wrong.
    """
    service = Service(settings or load_settings(), process_pool)
    traces = start_sending(__version__) if service.settings.traces else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        service.start()
        if among_workers:
            await service.wait_until_loaded()
        yield {"service": service}  # for server/connection.py
        await service.stop()
        if traces:
            await asyncio.to_thread(traces.stop)

    app = DocumentedApp(
        title="face128",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # its redirects lose a proxy's prefix and scheme; see _serve_trailing_slash
        root_path_in_servers=False,
        servers=[{"url": ".", "description": "This service"}],  # relative to the document
        # Otherwise FastAPI reports requests, with path and query, to an OpenTelemetry SDK that is configured in the
        # process. FACE128_TRACES is what traces requests.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    metrics = app.state.metrics = Metrics()
    set_listener(metrics)
    app.add_middleware(OverloadControl, BodyMemory(service.settings.max_body_memory))
    app.state.guard = Guard(service.settings.api_keys)
    if not service.settings.api_keys:
        app.add_middleware(CrossOriginProtection, service.settings)
    app.add_middleware(RequestLog, metrics)
    if traces:
        from face128.api.middleware.request_span import RequestSpan

        set_tracer(traces.tracer)
        app.add_middleware(RequestSpan, traces.tracer)
    if service.settings.cors_origins:
        # Around the log: the answer to an unexpected error, which the log's middleware gives, has the headers too.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=("X-Request-ID", "Retry-After"),
            allow_private_network="*" not in service.settings.cors_origins,
        )
    if service.settings.root_path:
        app.add_middleware(PathPrefix, service.settings.root_path)
    install_error_handlers(app)
    for module in (
        match_and_encode,
        lists,
        faces,
        collections,
        people,
        records,
        enrolment,
        verify,
        decisions,
        jobs,
        operations,
        swagger_page,
        start_page,
    ):
        app.router.routes.extend(module.router.routes)  # flat: an included router is searched on its own, twice
    if service.settings.has_console:
        from face128.api.console.routes import console_routes

        app.router.routes.extend(console_routes())
    app.router.default = partial(_serve_trailing_slash, app)
    return app


async def _serve_trailing_slash(app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
    """For paths that no route has: /match/ is answered as /match is."""
    path = scope["path"].rstrip("/")
    if scope["type"] == "http" and path and path != scope["path"]:
        scope["path"] = path
        await app.router.app(scope, receive, send)
    else:
        await app.router.not_found(scope, receive, send)
