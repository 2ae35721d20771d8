"""The error classes: each has a stable code, an HTTP status and a default sentence, or inherits them.

Raise one with a precise sentence (the default may be too general) and with context that helps the caller:
``raise InvalidDescriptor("It has 127 numbers, not 128.", field="enrolled[17].descriptor", regNo=1029)``.
Sentence and context must not contain a path, a traceback or the caller's input.
"""

from __future__ import annotations

from typing import Any, ClassVar

STOPPING = "The service is stopping. Try again shortly."  # the sentence of Overloaded while the service stops


class Face128Error(Exception):
    """Base class of every error that face128 raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong inside the service."

    def __init_subclass__(cls, *, code: str = "", status: int = 0, sentence: str = "") -> None:
        cls.code, cls.status, cls.sentence = code or cls.code, status or cls.status, sentence or cls.sentence

    def __init__(self, sentence: str | None = None, **context: Any) -> None:
        super().__init__(sentence or self.sentence)
        self.context = context

    def body(self) -> dict[str, Any]:
        """The response as JSON: ``{"error": sentence, "code": code, ...context}``."""
        return {"error": str(self), "code": self.code, **self.context}


class ConfigurationError(Face128Error, code="configuration"):
    """Settings, weights or packages with which the service cannot start."""


class BadRequest(Face128Error, code="bad_request", status=400): ...


class BadImage(BadRequest, code="bad_image", sentence="The image is empty, truncated or damaged."): ...


class Unauthorized(
    Face128Error,
    code="unauthorized",
    status=401,
    sentence="A valid API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
): ...


class Forbidden(Face128Error, code="forbidden", status=403):
    """A valid key without the scope that is needed, which ``scope`` names."""


class NotFound(Face128Error, code="not_found", status=404, sentence="There is nothing here."): ...


class TooSlow(Face128Error, code="too_slow", status=408, sentence="The body arrives too slowly."): ...


class ModelMismatch(
    Face128Error, code="model_mismatch", status=409, sentence="Descriptors of these models cannot be compared."
): ...


class TooManyImages(Face128Error, code="too_many_images", status=409): ...


class Duplicate(Face128Error, code="duplicate", status=409): ...


class TooLarge(Face128Error, code="too_large", status=413): ...


class UnsupportedFormat(
    Face128Error,
    code="unsupported_format",
    status=415,
    sentence="This is not an image in a supported format: JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC.",
): ...


class InvalidRequest(Face128Error, code="invalid_request", status=422): ...


class InvalidDescriptor(InvalidRequest, code="invalid_descriptor"): ...


class TooFewMembers(
    InvalidRequest, code="too_few_members", sentence="There are too few enrolled members for this alpha."
):
    """For the cohort rule, which needs ``members_needed`` members."""


class NoFace(Face128Error, code="no_face", status=422, sentence="No face was found in the image."): ...


class MultipleFaces(Face128Error, code="multiple_faces", status=422): ...


class ClientGone(Face128Error, code="client_gone", status=499, sentence="The client has disconnected."):
    """The client disconnected before it had sent its body. 499 is the status that nginx logs for this."""


class HeadTilted(Face128Error, code="head_tilted", status=422):
    """Refuses an enrolment above FACE128_MAX_ROLL; ``roll`` and ``max_roll`` are in degrees."""


class TryLater(Face128Error):
    """``retry_after`` is in seconds and goes into the Retry-After header."""

    def __init__(self, sentence: str | None = None, *, retry_after: int = 1, **context: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **context)
        self.retry_after = retry_after


class Throttled(
    TryLater,
    code="throttled",
    status=429,
    sentence="Too many wrong API keys came from this address. Wait before the next.",
): ...


class Overloaded(TryLater, code="overloaded", status=503, sentence="The service is busy. Try again shortly."): ...


class NotReady(Face128Error, code="not_ready", status=503, sentence="The service is still starting."): ...


class DatabaseUnavailable(NotReady, sentence="The gallery's database cannot be reached."):
    """The gallery cannot be reached. The next request tries again; requests without the gallery are not affected."""
