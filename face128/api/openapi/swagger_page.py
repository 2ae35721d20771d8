"""/docs: Swagger UI, served from this machine. The page asks no other: its security policy forbids it."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

from face128.errors import NotFound

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # Swagger UI writes style attributes, and its icons are data: URLs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

# All addresses are relative: behind a proxy the service may stand under a path of its own.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>face128</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Without validatorUrl the page would show a badge that validator.swagger.io makes of the document's address.
_START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""

# The package carries the files of npm's swagger-ui-dist.
_STATIC = files("fastapi_offline") / "static"
_FILES = ("favicon.png", "swagger-ui.css", "swagger-ui-bundle.js")


@router.get("/docs")
async def page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/{name}")
async def part(name: str) -> Response:
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers=_HEADERS)
    if name not in _FILES:
        raise NotFound()
    return FileResponse(str(_STATIC / name), headers=_HEADERS)
