"""The first page: what there is, and what needs attention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from fastapi import APIRouter, Request, Response

from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page, redirect
from face128.api_keys import Scope
from face128.service import overview as numbers

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/console", dependencies=console_needs(None))
async def overview(request: Request, service: ServiceDep) -> Response:
    key = request.state.key
    scopes = key.scopes if key else get_args(Scope)
    found = await numbers.overview(service, request.state.collection, scopes, datetime.now(UTC))
    return page(request, "overview/overview.html", screen="overview", overview=found)


@router.get("/console/", dependencies=console_needs(None))
async def overview_with_slash(request: Request) -> Response:
    return redirect(request, "overview")
