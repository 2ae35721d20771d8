"""Builds the application. Importing does no work: settings are checked here, weights are loaded in the lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from face128 import __version__
from face128.api.auth.guard import Guard
from face128.api.metrics.prometheus import Metrics
from face128.api.middleware.body_memory import BodyMemory
from face128.api.middleware.overload import OverloadControl
from face128.api.middleware.request_log import RequestLog
from face128.api.openapi import swagger_page
from face128.api.openapi.document import DocumentedApp
from face128.api.responses.error_handlers import install_error_handlers
from face128.api.routes import enrolment, faces, match_and_encode, operations, records
from face128.events import set_listener
from face128.service.service import Service
from face128.settings import Settings, load_settings
from face128.workers.process_pool import ProcessPool

DESCRIPTION = """
Whose face is this? 128-d face descriptors, exactly dlib's and much faster.

Every error is `{"error": sentence, "code": code, ...}` with a stable code. If the service has API keys, send
`Authorization: Bearer KEY` or `X-API-Key: KEY`; `/health` and `/ready` need none. Each route needs one scope of the
key: `match` (search and compare faces), `encode` (photos to boxes and descriptors), `gallery` (who is enrolled) or
`admin` (metrics and maintenance). The route's security scheme names it as its role.
"""


def create_app(settings: Settings | None = None, process_pool: ProcessPool | None = None) -> FastAPI:
    """Build the application; without ``settings`` they are read from the environment.

    ``process_pool`` is one that already loads its engines. Raises ConfigurationError if the settings are wrong.
    """
    service = Service(settings or load_settings(), process_pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        service.start()
        yield {"service": service}  # for server/connection.py
        await service.stop()

    app = DocumentedApp(
        title="face128",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Otherwise FastAPI reports requests to an OpenTelemetry SDK, if one is configured in the process.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    metrics = app.state.metrics = Metrics()
    set_listener(metrics)
    app.add_middleware(OverloadControl, BodyMemory(service.settings.max_body_memory))
    app.state.guard = Guard(service.settings.api_keys)
    app.add_middleware(RequestLog, metrics)
    install_error_handlers(app)
    for module in (match_and_encode, faces, records, enrolment, operations, swagger_page):
        app.router.routes.extend(module.router.routes)  # flat: an included router is searched on its own, twice
    return app
