"""GET /: what this service is, and where to go from here. Anybody may read it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

router = APIRouter(include_in_schema=False)

_ABOUT = "Whose face is this? face128 is a service for 128-d face descriptors."
_LINKS = {
    "docs": ("docs", "every endpoint, with examples to try"),
    "openapi": ("openapi.json", "the same for programs"),
    "health": ("health", "whether the service is alive"),
    "ready": ("ready", "whether it can encode photos now"),
}
_CONSOLE = {"console": ("console", "pages for those who run the door")}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


@router.head("/")
@router.get("/")
async def start_page(request: Request) -> Response:
    """HTML for a browser, JSON for anything else."""
    # Relative, for a proxy that takes its prefix off the path; or under the prefix that the operator named.
    settings = request.app.state.service.settings
    prefix = settings.root_path
    offered = _LINKS | (_CONSOLE if settings.has_console else {})
    links = {name: f"{prefix}/{path}" if prefix else path for name, (path, _) in offered.items()}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"service": "face128", "about": _ABOUT, **links}, headers=_HEADERS)
    items = "".join(f'<li><a href="{links[name]}">{path}</a>: {text}\n' for name, (path, text) in offered.items())
    return HTMLResponse(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>face128</title>\n<h1>face128</h1>\n'
        f"<p>{_ABOUT}</p>\n<ul>\n{items}</ul>\n<p>README.md and docs/ of the project say how to use it.</p>\n",
        headers=_HEADERS,
    )
