"""Puts the service together. No work at import: settings are checked here, weights are loaded in the lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from face128 import __version__
from face128.api.auth.guard import Guard
from face128.api.metrics.prometheus import Metrics
from face128.api.middleware.overload import Admission, BodyMemory
from face128.api.middleware.request_log import RequestId
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

Every error is `{"error": sentence, "code": code, ...}` with a stable code. Where API keys are set, send
`Authorization: Bearer KEY` or `X-API-Key: KEY`; `/health` and `/ready` need none. Each route needs one scope of the
key: `match` (whose face it is, and whether two are one), `encode` (photos to boxes and descriptors), `gallery` (who is
enrolled) or `admin` (metrics and maintenance). It stands beside the route as the role of its security scheme.
"""


def create_app(settings: Settings | None = None, process_pool: ProcessPool | None = None) -> FastAPI:
    """Build the application; without ``settings`` they are read from the environment.

    ``process_pool`` is one that loads its engines already. Raises ConfigurationError where the settings
    are wrong.
    """
    service = Service(settings or load_settings(), process_pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        service.start()
        yield {"service": service}  # for the server: server.py
        await service.stop()

    app = DocumentedApp(
        title="face128", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.service = service
    metrics = app.state.metrics = Metrics()
    set_listener(metrics)
    app.add_middleware(Admission, BodyMemory(service.settings.max_body_memory))
    app.state.guard = Guard(service.settings.api_keys)
    app.add_middleware(RequestId, metrics)
    install_error_handlers(app)
    app.include_router(match_and_encode.router)
    app.include_router(faces.router)
    app.include_router(records.router)
    app.include_router(enrolment.router)
    app.include_router(operations.router)
    app.include_router(swagger_page.router)
    return app
