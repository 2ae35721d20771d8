"""The API keys of the service: their names, what each opens, and when it was last used. Never a secret or its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page
from face128.api.metrics.prometheus import Metrics, metrics_of
from face128.api_keys import Scope

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class ShownKey:
    name: str
    scopes: list[Scope]
    collection: str | None
    short: bool
    plain: bool
    last_used: datetime | None


@router.get("/console/keys", dependencies=console_needs("admin"))
async def keys_page(request: Request, service: ServiceDep) -> Response:
    uses, started = await to_thread.run_sync(_uses, metrics_of(request))
    shown = [
        ShownKey(
            key.name,
            [scope for scope in get_args(Scope) if scope in key.scopes],
            key.collection,
            key.short,
            key.plain,
            _time(uses[key.name]) if key.name in uses else None,
        )
        for key in service.settings.api_keys
    ]
    return page(request, "keys/keys.html", screen="keys", keys=shown, started=_time(started))


def _uses(metrics: Metrics) -> tuple[dict[str, float], float]:
    return metrics.key_uses(), metrics.started_at()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
