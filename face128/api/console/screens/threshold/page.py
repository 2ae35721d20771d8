"""The threshold: what another one, or another alpha, would do among the members. The page changes nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from face128.api.auth.collection import GalleryDep
from face128.api.auth.guard import ServiceDep
from face128.api.console.access import console_needs
from face128.api.console.pages import PageRoute, page
from face128.api.console.screens.threshold.plot import plot_of
from face128.domain.decision_rule import Rule
from face128.domain.model_card import ModelCard
from face128.errors import InvalidRequest
from face128.matching.tails import MIN_ESTIMATE_MEMBERS, members_needed
from face128.settings import Settings

if TYPE_CHECKING:
    from face128.gallery.cohort.compared_members import ComparedMembers
    from face128.gallery.cohort.what_if import Asked
    from face128.gallery.gallery import Gallery
    from face128.gallery.trail.kept_distances import OtherDecisions

router = APIRouter(route_class=PageRoute, include_in_schema=False)

WAIT_S = 0.2
"""For a comparison that is quickly made: among a thousand members it takes half as long."""
FEW_PEOPLE = 100
"""With fewer, none of them is a share of at most 7 %: the page says that the intervals are wide."""
MAX_THRESHOLD, MAX_ALPHA = 2.0, 1.0

Threshold = Annotated[float | None, Query(gt=0, le=MAX_THRESHOLD, allow_inf_nan=False)]
Alpha = Annotated[float | None, Query(gt=0, lt=MAX_ALPHA, allow_inf_nan=False)]


@router.get("/console/threshold", dependencies=console_needs("gallery"))
async def threshold_page(
    request: Request,
    access: GalleryDep,
    service: ServiceDep,
    model: Annotated[str | None, Query(max_length=200)] = None,
    threshold: Threshold = None,
    alpha: Alpha = None,
    part: Literal["", "1", "all"] = "",
) -> Response:
    """``part``: for a page that is open already, what depends on the threshold and on alpha; or also the doorways."""
    cards = await access.run(lambda gallery: gallery.what_if.cards())
    if not cards:
        return page(request, "threshold/nobody.html", screen="threshold")
    card = _chosen(cards, model)
    settings = service.settings
    rule = Rule("cohort", settings.alpha if alpha is None else alpha, settings.tail)
    limit = card.threshold if threshold is None else threshold
    asked = await access.run(lambda gallery: gallery.what_if.ask(card))
    if asked.running is not None and asked.may_be_quick:
        await _wait(asked.running)
        asked = await access.run(lambda gallery: gallery.what_if.ask(card))
    values = _figures(asked, card, limit, rule)
    values |= await access.run(_decisions, settings, card, limit, rule.alpha)
    values |= {"card": card, "cards": cards, "threshold": limit, "alpha": rule.alpha, "settings": settings}
    values["with_doorways"] = part != "1"
    if part != "1":
        values |= await access.run(_doorways, asked)
    template = "threshold/part.html" if part else "threshold/threshold.html"
    return page(request, template, screen="threshold", asked=asked, **values)


async def _wait(running: Future[Any]) -> None:
    """Wait for a moment. Raises the error of a comparison that has failed by then."""
    future = asyncio.wrap_future(running)
    future.add_done_callback(lambda done: done.exception())  # also where nobody waits any more
    done, _ = await asyncio.wait({future}, timeout=WAIT_S)
    for one in done:
        one.result()


def _chosen(cards: list[ModelCard], name: str | None) -> ModelCard:
    found = next((card for card in cards if name in (None, "", card.name)), None)
    if found is None:
        raise InvalidRequest("Nobody is enrolled with this model.", field="model")
    return found


def _figures(asked: Asked, card: ModelCard, threshold: float, rule: Rule) -> dict[str, Any]:
    values: dict[str, Any] = {"needed": members_needed(rule), "few": False, "known": None, "plot": None}
    if asked.kept is None:
        return values | {"effects": None, "by_threshold": None, "by_alpha": None}
    from face128.gallery.cohort.expected_fpir import KNOWN_PAIRS, by_known_pairs

    effects = asked.kept.members.effects
    known = by_known_pairs([card.name], effects.members) if card.name in KNOWN_PAIRS else None
    return values | {
        "effects": effects,
        "by_threshold": effects.by_threshold(threshold),
        "by_alpha": effects.by_cohort(rule),
        "few": effects.asked < FEW_PEOPLE,
        # Of a stricter threshold at most as much is known.
        "known": known if threshold <= card.threshold else None,
        "plot": plot_of(effects, card, threshold) if effects.members > 1 else None,
    }


def _decisions(
    gallery: Gallery, settings: Settings, card: ModelCard, threshold: float, alpha: float
) -> dict[str, OtherDecisions | None]:
    if not settings.decision_log_days:
        return {"other_by_threshold": None, "other_by_alpha": None}
    from face128.gallery.rows.stored_space import comparable_models
    from face128.gallery.trail import kept_distances

    models = comparable_models(card)
    with gallery.database.reading() as connection:
        return {
            "other_by_threshold": kept_distances.by_threshold(connection, models, threshold),
            "other_by_alpha": kept_distances.by_alpha(connection, models, alpha, card.cohort_cap),
        }


def _doorways(gallery: Gallery, asked: Asked) -> dict[str, Any]:
    if asked.kept is None:
        return {"doorways": [], "hubs": []}
    doorways, hubs = _named(gallery, asked.kept.members)
    # Among few, somebody is always the nearest to several.
    return {"doorways": doorways, "hubs": hubs if asked.kept.members.effects.asked >= MIN_ESTIMATE_MEMBERS else []}


def _named(gallery: Gallery, members: ComparedMembers) -> tuple[list[Any], list[Any]]:
    from face128.gallery.trail.entry import EVERYBODY

    doorways, hubs = gallery.what_if.named(members)
    if doorways or hubs:
        people = {one.user_id for pair in doorways for one in (pair.person, pair.other)}
        people |= {hub.person.user_id for hub in hubs}
        gallery.accounts.note("list", person=EVERYBODY, details={"people": len(people)})
    return doorways, hubs
