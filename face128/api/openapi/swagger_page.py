"""/docs: Swagger UI, served by this service. The page's Content-Security-Policy forbids requests to other hosts."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from face128.errors import NotFound

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # Swagger UI writes style attributes, and its icons are data: URLs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

# All URLs are relative: a proxy may serve the service under a path. HTML needs no tags for head and body.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>face128</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
"""

# validatorUrl null: by default the page sends the document's URL to validator.swagger.io, for a badge.
_START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""

# The package fastapi_offline contains the files of npm's swagger-ui-dist.
_ASSET_FOLDER = files("fastapi_offline") / "static"
_ASSETS = ("favicon.png", "swagger-ui.css", "swagger-ui-bundle.js")


@router.get("/docs")
async def page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/")
async def page_with_slash() -> RedirectResponse:
    return RedirectResponse("../docs")  # for the page's relative URLs


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers=_HEADERS)
    if name not in _ASSETS:
        raise NotFound()
    return FileResponse(str(_ASSET_FOLDER / name), headers=_HEADERS)
