"""Runs uvicorn with the settings, and with bounds on what one connection may take: see docs/reliability.md."""

from __future__ import annotations

import math
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from face128.server.connection import RESERVED_CONNECTIONS, Connection
from face128.server.listening import bind
from face128.settings import Settings

WORKER_ANSWER_S = 30
"""A worker that does not answer its parent for so long is killed and replaced.

With uvicorn's 5 seconds, one whose interpreter starts slowly on a busy machine is killed again and again.
"""
KEEP_ALIVE_MARGIN_S = 1  # beyond what clients are told, so that none sends its next request while it is closed


def run(app: Any, settings: Settings, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C; ``app`` is the application or, for several workers, the path of its factory.

    Raises ConfigurationError if nothing can listen on the address.
    """
    sockets = bind(settings.host, settings.port)
    _raise_file_limit(2 * (settings.max_connections + RESERVED_CONNECTIONS))
    signal.signal(signal.SIGTERM, _stopped)
    config = uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        http=Connection,
        ws="none",
        timeout_keep_alive=settings.keep_alive_seconds + KEEP_ALIVE_MARGIN_S,  # type: ignore[arg-type]
        timeout_graceful_shutdown=math.ceil(settings.grace),
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),  # uvicorn's own default believes whoever calls from loopback
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_worker_healthcheck=WORKER_ANSWER_S,
    )
    if workers > 1:
        Multiprocess(config, sockets).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # raised again once it has been obeyed
        server.run(sockets)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


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
