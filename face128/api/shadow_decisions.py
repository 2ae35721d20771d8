"""FACE128_SHADOW_MODELS: what other networks would have decided. It is counted and logged, and changes no answer.

The shadows decide after the answer is sent. Neither counts nor log lines say who was there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from starlette.background import BackgroundTask
from starlette.requests import Request

from face128.api.metrics.prometheus import metrics_of
from face128.domain.probe import Probe
from face128.errors import Face128Error
from face128.matching.outcome import Decision

log = logging.getLogger(__name__)

Difference = Literal["same", "match_instead", "no_match_instead", "other_person", "failed"]
"""What the shadow decided: as the service did; a match where it found none; the reverse; somebody else; or nothing, as
there were too few members for the rule, or too many requests."""


def shadow_decisions(
    request: Request, served: Decision, probe: Probe, decide: Callable[[Probe], Awaitable[Decision]]
) -> BackgroundTask | None:
    """The task to run after the answer; None if there is nothing to compare: no setting, or a probe of one model."""
    models = request.app.state.service.settings.shadow_models
    if not models or len(probe.descriptors) == 1:
        return None

    async def run() -> None:
        for each in models:
            try:
                difference = _difference(served, await decide(replace(probe, order=each)))
            except Face128Error:
                difference = "failed"
            metrics_of(request).count_shadow_decision(each, difference)
            if difference not in ("same", "failed"):
                log.info("a shadow decision by %s differs: %s", each, difference)

    return BackgroundTask(run)


def _difference(served: Decision, shadow: Decision) -> Difference:
    if served.matched != shadow.matched:
        return "match_instead" if shadow.matched else "no_match_instead"
    if not served.matched:
        return "same"
    assert served.nearest
    assert shadow.nearest
    return "same" if served.nearest.reg_no == shadow.nearest.reg_no else "other_person"
