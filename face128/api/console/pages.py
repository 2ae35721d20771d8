"""A page of the console: its template, its headers, its addresses and its sentences; and errors as pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from face128.api.console.sentences import LANGUAGES, Sentences, choose_language
from face128.api.metrics.prometheus import metrics_of
from face128.api.responses.error_handlers import as_invalid_request, error_headers
from face128.api_keys import ApiKey, Scope
from face128.errors import Face128Error, Unauthorized

LANGUAGE_COOKIE = "face128_language"

NAVIGATION: tuple[tuple[str, Scope | None], ...] = (
    ("overview", None),
    ("people", "gallery"),
    ("enrol", "gallery"),
    ("try", "match"),
    ("threshold", "gallery"),
    ("decisions", "gallery"),
    ("review", "gallery"),
    ("health", "gallery"),
    ("trail", "admin"),
    ("keys", "admin"),
)
"""The screens in the order of the menu, each with the scope that it needs. The address of ``overview`` is /console."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: a form would then be sent with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

STATIC = files("face128.api.console") / "static"


class PageRoute(APIRoute):
    """A route whose errors are pages, or JSON for a module that asks for it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_with_pages(request: Request) -> Response:
            try:
                response = await handle(request)
            except Face128Error as error:
                return error_answer(request, error)
            except RequestValidationError as error:
                return error_answer(request, as_invalid_request(error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle_with_pages


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The template with these values, and what base.html needs. ``screen`` is its place in the menu."""
    return HTMLResponse(View(request).render(template, **values), status, headers=HEADERS)


def redirect(request: Request, screen: str, **query: str | None) -> RedirectResponse:
    """After a change: the address of a screen. ``done`` names the sentence ``<screen>.done.<done>`` that it shows."""
    return RedirectResponse(View(request).url(screen, **query), 303, headers=HEADERS)


def error_answer(request: Request, error: Face128Error) -> Response:
    """What the API would answer, as a page; without a session, the way to sign in."""
    metrics_of(request).count_error(error.code)
    if request.headers.get("accept", "").startswith(("application/json", "text/event-stream")):
        body = error.body() | {"error": error_sentence(request, error)}
        return JSONResponse(body, error.status, headers=HEADERS | error_headers(error))
    if isinstance(error, Unauthorized) and request.method == "GET":
        screen = request.url.path.rpartition("/console/")[2]
        return redirect(request, "sign-in", next=screen if screen.isalpha() else None)
    answer = page(request, "error.html", error.status, screen=None, sentence=error_sentence(request, error))
    answer.headers.update(error_headers(error))
    return answer


def error_sentence(request: Request, error: Face128Error) -> str:
    """In the language of the page where the catalogue has the code, ``errors.<code>``; else the error's own."""
    sentences = _sentences(request)
    key = f"errors.{error.code}"
    return sentences.text(key) if key in sentences else str(error)


class View:
    """What templates call: ``t``, ``url``, ``asset``, ``number``, ``percent``, ``when``."""

    def __init__(self, request: Request, base: str | None = None) -> None:
        """``base`` is the way from the page up to the service's root; None: from the address of the request."""
        self.request, self.sentences = request, _sentences(request)
        self._base = _base(request) if base is None else base
        self._collection = getattr(request.state, "collection", "")
        self.key: ApiKey | None = getattr(request.state, "key", None)

    def render(self, template: str, **values: Any) -> str:
        return _environment().get_template(template).render(self.names() | values)

    def names(self) -> dict[str, Any]:
        done = self.request.query_params.get("done", "")
        return {
            "t": self.sentences.text,
            "has_sentence": self.sentences.__contains__,
            "url": self.url,
            "asset": self.asset,
            "number": self.sentences.number,
            "percent": self.sentences.percent,
            "when": self.when,
            "language": self.sentences.language,
            "languages": LANGUAGES,
            "navigation": [name for name, scope in NAVIGATION if self.may(scope)],
            "may": self.may,
            "collection": self._collection,
            "key": self.key,
            "signed_in": not self.request.app.state.guard.has_keys or self.key is not None,
            "has_keys": self.request.app.state.guard.has_keys,
            "done": done if done.isidentifier() else "",
        }

    def may(self, scope: Scope | None) -> bool:
        """Whether the key of this session opens what needs the scope."""
        if not self.request.app.state.guard.has_keys:
            return True
        return self.key is not None and (scope is None or scope in self.key.scopes)

    def url(self, screen: str = "overview", **query: Any) -> str:
        """The address of a screen, relative to this page: a proxy may serve the console under any prefix.

        It keeps the collection, unless that of the key is meant. Parameters that are None or empty are left out.
        """
        path = "console" if screen == "overview" else f"console/{screen}"
        own = self.key.collection or "" if self.key else ""
        chosen = {"collection": self._collection} if self._collection != own else {}
        parameters = {name: value for name, value in (chosen | query).items() if value not in (None, "")}
        return self._base + path + (f"?{urlencode(parameters)}" if parameters else "")

    def asset(self, name: str) -> str:
        """The address of a file of static/, which changes with their content: browsers keep it for a year.

        The version is a folder, so that one module's ``import "./other.js"`` has the same address as the page's.
        """
        return f"{self._base}console/static/{static_version()}/{name}"

    def when(self, time: datetime | str) -> Markup:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        text = self.sentences.time(moment)
        return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(timespec="seconds"), text)


@cache
def static_version() -> str:
    contents = [entry.read_bytes() for entry in sorted(STATIC.iterdir(), key=lambda entry: entry.name)]
    return hashlib.sha256(b"".join(contents)).hexdigest()[:12]


@cache
def _environment() -> Environment:
    loader = PackageLoader("face128.api.console", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _sentences(request: Request) -> Sentences:
    wishes = request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
    return Sentences(choose_language(*wishes, accept=request.headers.get("accept-language", "")))


def _base(request: Request) -> str:
    """The way from this page up to the service's root: "../" for each folder. By the path that the browser asked for,
    which may end with a slash.
    """
    path = request.scope.get("raw_path", request.scope["path"].encode()).partition(b"?")[0]
    prefix = (request.app.state.service.settings.root_path or "").encode()
    folders = path.removeprefix(prefix).count(b"/") - 1
    return "../" * folders or "./"
