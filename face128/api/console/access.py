"""Who uses a page of the console, and whether they may: by the session that their cookie names.

The cookie opens the console alone. The JSON API takes keys only, so no page of another site can use it through a
browser that is signed in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, Request, Response

from face128.api.auth.guard import note_key
from face128.api_keys import ApiKey, Scope
from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import Forbidden, ForeignOrigin, Unauthorized
from face128.network_names import is_of_host
from face128.service.gallery_access import CollectionAccess

if TYPE_CHECKING:
    from face128.gallery.gallery import Gallery
    from face128.gallery.sessions import Sessions

COOKIE = "face128_session"
_SECONDS_PER_HOUR = 3600
_FOREIGN = "The form was not sent by a page of this console. Behind a proxy, the header Host must be passed on."


def console_needs(scope: Scope | None) -> list[Any]:
    """The dependencies of a page: a session whose key has this scope; None: any session. Without keys all are open."""

    async def check(request: Request) -> None:
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        guard = request.app.state.guard
        key = await _session_key(request) if guard.has_keys else None
        if guard.has_keys and key is None:
            raise Unauthorized("Sign in with an API key.")
        request.state.key = key  # for the menu, also on the page of an error
        if key is not None and scope is not None and scope not in key.scopes:
            raise Forbidden(f"This API key does not have the scope {scope}.", scope=scope)
        note_key(request, key, {})

    return [Depends(check)]


def check_origin(request: Request) -> None:
    """Raises ForeignOrigin unless a page of this very service sends the request: every browser says who does."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    own = site == "same-origin" if site is not None else is_of_host(origin, request.headers.get("host", ""))
    if not own:
        raise ForeignOrigin(_FOREIGN)


async def sign_in(request: Request, response: Response, key: ApiKey) -> None:
    """Begin a session: always a new one, whatever cookie the browser has."""
    from face128.gallery.sessions import SESSION_HOURS

    await _end_session(request)
    token = await _gallery(request).change(lambda gallery: _sessions(gallery).begin(key.digest.hex()))
    https = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    # No path: browsers take the folder of this page, also behind a proxy whose prefix the service does not know.
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_HOURS * _SECONDS_PER_HOUR,
        path=None,
        secure=https,
        httponly=True,
        samesite="strict",
    )


async def sign_out(request: Request, response: Response) -> None:
    """End the session here and in the browser."""
    await _end_session(request)
    response.set_cookie(COOKIE, "", max_age=0, path=None, httponly=True, samesite="strict")


async def _end_session(request: Request) -> None:
    if token := request.cookies.get(COOKIE):
        await _gallery(request).change(lambda gallery: _sessions(gallery).end(token))


async def _session_key(request: Request) -> ApiKey | None:
    """The key of the session; None if there is none, or if the settings do not have its key any more."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    session = await _gallery(request).run(lambda gallery: _sessions(gallery).find(token))
    found: ApiKey | None = request.app.state.guard.key_with_hash(session.key_hash) if session else None
    return found


def _sessions(gallery: Gallery) -> Sessions:
    from face128.gallery.sessions import Sessions

    return Sessions(gallery.database)


def _gallery(request: Request) -> CollectionAccess:
    access: CollectionAccess = request.app.state.service.gallery.of(DEFAULT_COLLECTION)
    return access
