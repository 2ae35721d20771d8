"""The fields of a form without files."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from face128.api.requests.bodies import read_body
from face128.errors import BadRequest, InvalidRequest

MAX_FORM_BYTES = 64 * 1024  # some times what the longest texts of a form can take
MAX_FIELDS = 64


async def read_fields(request: Request) -> dict[str, str]:
    """The fields, without the space around them. Raises BadRequest for another body, InvalidRequest for a field that
    stands twice or is not UTF-8, TooLarge.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise BadRequest("Send the form as application/x-www-form-urlencoded.")
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise InvalidRequest("The form is not UTF-8.") from None
    except ValueError:
        raise BadRequest(f"A form has at most {MAX_FIELDS} fields.") from None
    fields = {name: value.strip() for name, value in pairs}
    if len(fields) < len(pairs):
        raise InvalidRequest("A field stands twice in the form.")
    return fields
