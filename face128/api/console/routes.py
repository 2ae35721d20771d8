"""The routes of the console, in the order in which they are looked up."""

from __future__ import annotations

from starlette.routing import BaseRoute

from face128.api.console.screens import (
    collections,
    decision_events,
    decisions,
    files,
    keys,
    merge,
    overview,
    people,
    person,
    review,
    sign_in,
    trail,
)
from face128.api.console.screens.enrol import check as enrol_check
from face128.api.console.screens.enrol import page as enrol
from face128.api.console.screens.enrol import thumbnail
from face128.api.console.screens.health import page as health
from face128.api.console.screens.threshold import page as threshold
from face128.api.console.screens.try_photo import page as try_photo

ROUTERS = (
    files.router,
    sign_in.router,
    overview.router,
    people.router,
    person.router,
    merge.router,
    collections.router,
    enrol.router,
    enrol_check.router,
    thumbnail.router,
    try_photo.router,
    threshold.router,
    decisions.router,
    decision_events.router,
    review.router,
    health.router,
    trail.router,
    keys.router,
)


def console_routes() -> list[BaseRoute]:
    return [route for router in (*ROUTERS, files.rest) for route in router.routes]
