"""Runs uvicorn with the settings, and with bounds on what one connection may take: see docs/reliability.md."""

from __future__ import annotations

import math
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn

from face128.server.connection import HEAD_BYTES, RESERVED_CONNECTIONS, Connection
from face128.settings import Settings


def run(app: Any, settings: Settings, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C; ``app`` is the application or, for several workers, the path of its factory."""
    _raise_file_limit(2 * (settings.max_connections + RESERVED_CONNECTIONS))
    signal.signal(signal.SIGTERM, _stopped)
    uvicorn.run(
        app,
        factory=workers > 1,
        workers=workers,
        host=settings.host,
        port=settings.port,
        http=Connection,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=math.ceil(settings.grace),
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),  # uvicorn's own default believes whoever calls from loopback
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _stopped(_: int, __: FrameType | None) -> None:
    """Makes the exit status 0: uvicorn raises the signal again once it has obeyed it."""


def _raise_file_limit(wanted: int) -> None:
    """Raise the limit of open files, as far as that is allowed: a connection is one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
