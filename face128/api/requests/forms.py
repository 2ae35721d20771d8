"""Reads requests to the gallery's endpoints: photos together with other fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile

from face128.api.requests.bodies import FORM_OVERHEAD_BYTES, read_form, read_json, refuse_if_full
from face128.api.requests.multipart import read_file
from face128.domain import strict_json, thresholds
from face128.errors import BadImage, BadRequest, InvalidRequest
from face128.photos.photo import Limits, decode_base64

T = TypeVar("T")

FILE_FIELDS = ("image", "images", "file", "files")
DESCRIPTOR_FIELDS = ("descriptor", "descriptors")


@dataclass(frozen=True)
class PhotoForm:
    """The photos as (file name, bytes), in the order of the request, and the other fields."""

    images: list[tuple[str | None, bytes]]
    fields: Mapping[str, Any]

    def image(self) -> bytes:
        """The only photo. Raises BadRequest if there are several."""
        if len(self.images) > 1:
            raise BadRequest("The form has more than one image.")
        return self.images[0][1]

    def text(self, field: str) -> str:
        """A text without surrounding space. Raises InvalidRequest if it is missing."""
        value = self.fields.get(field)
        if not isinstance(value, str):
            raise InvalidRequest(f"The field {field} is missing.", field=field)
        return value.strip()

    def number(self, field: str, default: T) -> float | T:
        """A number; the default if the field is missing or empty; NaN if it is anything else."""
        value = self.fields.get(field)
        if value is None or value == "":
            return default
        try:
            return float(value) if type(value) in (int, float, str) else float("nan")
        except ValueError:
            return float("nan")

    def threshold(self) -> float | dict[str, float]:
        """The greatest distance: a number, or an object with one for each model; {} if the field is missing or empty.

        Raises InvalidRequest.
        """
        value = self.fields.get("threshold")
        by_model = isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))
        return thresholds.parse(self.json_object("threshold") if by_model else self.number("threshold", None))

    def json_object(self, field: str) -> dict[str, Any]:
        """A JSON object, sent as such or as text; empty if the field is missing. Raises InvalidRequest."""
        value = self.fields.get(field)
        if value is None or value == "":
            return {}
        try:
            value = strict_json.loads(value) if isinstance(value, str) else value
        except InvalidRequest as error:
            raise InvalidRequest(str(error), field=field) from None
        except BadRequest:
            value = None
        if not isinstance(value, dict):
            raise InvalidRequest(f"The field {field} is a JSON object.", field=field)
        return value


async def read_photos(
    request: Request, limits: Limits, max_photos: int = 1, *, or_descriptor: bool = False
) -> PhotoForm:
    """Read the body of an enrolment or a search, of at most the bytes of ``max_photos`` photos.

    Multipart with files in ``image``, ``images``, ``file`` or ``files``, or JSON with one photo in ``image_base64``, or
    with a descriptor in ``descriptor`` or ``descriptors`` (if ``or_descriptor``): the form then has no photo.
    Raises BadRequest for a body of another shape, BadImage for an empty photo, TooLarge as soon as it is known.
    """
    is_json = request.headers.get("content-type", "").lower().startswith("application/json")
    if not (is_json and or_descriptor):  # a descriptor does not wait for photos
        refuse_if_full(request)
    if is_json:
        document = await read_json(request, limits.max_bytes * 4 // 3 + FORM_OVERHEAD_BYTES)
        fields = document if isinstance(document, dict) else {}
        text = fields.get("image_base64")
        has_descriptor = or_descriptor and any(fields.get(name) is not None for name in DESCRIPTOR_FIELDS)
        if has_descriptor and text is not None:
            raise InvalidRequest("Send a photo or a descriptor, not both.", field="descriptor")
        if has_descriptor:
            return PhotoForm([], fields)
        if not isinstance(text, str):
            or_this = ', or a "descriptor"' if or_descriptor else ""
            raise BadRequest(f'The body must have a photo in base64 in "image_base64"{or_this}.')
        return PhotoForm([(None, decode_base64(text, limits.max_bytes))], fields)
    form = await read_form(request, max_photos * limits.max_bytes + FORM_OVERHEAD_BYTES)
    files = [value for field, value in form.multi_items() if field in FILE_FIELDS]
    if not files:
        raise BadRequest("The form has no file in a field image, images, file or files.")
    images = [(file.filename if isinstance(file, UploadFile) else None, await read_file(file)) for file in files]
    if not all(data for _, data in images):
        raise BadImage("The image is empty.")
    return PhotoForm(images, {field: value for field, value in form.multi_items() if isinstance(value, str)})
