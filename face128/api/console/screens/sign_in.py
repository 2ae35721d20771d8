"""Sign in with an API key, sign out, choose a language."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from face128.api.console.access import check_origin, console_needs, sign_in, sign_out
from face128.api.console.forms import read_fields
from face128.api.console.pages import LANGUAGE_COOKIE, NAVIGATION, PageRoute, error_sentence, page, redirect
from face128.api.console.sentences import LANGUAGES
from face128.api.metrics.prometheus import metrics_of
from face128.errors import InvalidRequest, Throttled, Unauthorized

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_YEAR_S = 365 * 24 * 3600


@router.get("/console/sign-in")
async def sign_in_page(request: Request, next: str = "") -> Response:
    if not request.app.state.guard.has_keys:
        return redirect(request, "overview")
    return page(request, "sign_in/sign_in.html", screen=None, next=_screen(next), problem=None)


@router.post("/console/sign-in")
async def begin_session(request: Request) -> Response:
    check_origin(request)
    fields = await read_fields(request)
    following = _screen(fields.get("next", ""))
    if not request.app.state.guard.has_keys:
        return redirect(request, following)
    try:
        key = request.app.state.guard.identify(fields.get("key", ""), request)
    except (Unauthorized, Throttled) as error:
        problem = "sign_in.wrong" if isinstance(error, Unauthorized) else None
        sentence = error_sentence(request, error)
        answer = page(
            request, "sign_in/sign_in.html", error.status, screen=None, next=following, problem=problem or sentence
        )
        if isinstance(error, Throttled):
            answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    metrics_of(request).count_key_request(key.name)
    response = redirect(request, following)
    await sign_in(request, response, key)
    return response


@router.post("/console/sign-out", dependencies=console_needs(None))
async def end_session(request: Request) -> Response:
    response = redirect(request, "sign-in", done="signed_out")
    await sign_out(request, response)
    return response


@router.post("/console/language")
async def choose_language(request: Request) -> Response:
    check_origin(request)
    fields = await read_fields(request)
    if (language := fields.get("language", "")) not in LANGUAGES:
        raise InvalidRequest(f"The languages are {', '.join(LANGUAGES)}.", field="language")
    response = redirect(request, _screen(fields.get("next", "")))
    response.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR_S, path=None, httponly=True, samesite="strict")
    return response


def _screen(name: str) -> str:
    """A screen of the menu: nothing else is opened after signing in."""
    return name if any(name == screen for screen, _ in NAVIGATION) else "overview"
