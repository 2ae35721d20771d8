"""The user_id in the path of a route: ``/enroll_faces/{user_id:path}``."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Request

from face128.api.openapi.body_schemas import USER_ID
from face128.domain.strict_json import is_unicode
from face128.errors import InvalidRequest


async def _user_id(
    request: Request, user_id: Annotated[str, Path(description="1 to 255 characters.", json_schema_extra=USER_ID)]
) -> str:
    """The id in the path. Raises InvalidRequest if it is not UTF-8: it has lost bytes, and may look like another."""
    if "\ufffd" in user_id:  # the server's replacement for bytes that are not UTF-8, or the character itself
        raw_path = request.scope["raw_path"].decode("ascii")
        if not is_unicode(unquote(raw_path, errors="surrogateescape")):
            raise InvalidRequest("The user_id in the path is not UTF-8.", field="user_id")
    return user_id


UserId = Annotated[str, Depends(_user_id)]
