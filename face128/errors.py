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
    retry_after: int | None = None
    """Seconds, for the Retry-After header: the same request may succeed then. None where waiting does not help."""

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


class ForeignOrigin(
    Face128Error,
    code="foreign_origin",
    status=403,
    sentence="Pages of other sites cannot use this service while it has no API key. To let one, name its origin in "
    "FACE128_CORS_ORIGINS.",
): ...


class UnknownHost(
    Face128Error,
    code="unknown_host",
    status=403,
    sentence="Without an API key this service answers under the names of this machine only. To add the name that "
    "you asked, set FACE128_ALLOWED_HOSTS.",
): ...


class NotFound(Face128Error, code="not_found", status=404, sentence="There is nothing here."): ...


class UnknownList(
    NotFound, code="unknown_list", sentence="There is no list with this digest. Put it again: PUT /lists/{digest}."
): ...


class TooSlow(Face128Error, code="too_slow", status=408, sentence="The body arrives too slowly."): ...


class ModelMismatch(
    Face128Error, code="model_mismatch", status=409, sentence="Descriptors of these models cannot be compared."
): ...


class TooManyImages(Face128Error, code="too_many_images", status=409): ...


class Duplicate(Face128Error, code="duplicate", status=409): ...


class InconsistentPerson(Face128Error, code="inconsistent_person", status=409):
    """Refuses a photo that is further than ``limit`` from the person's others; ``index`` names it."""


class TooLarge(Face128Error, code="too_large", status=413): ...


class HeadTooLarge(
    BadRequest,
    code="head_too_large",
    status=431,
    sentence="The head of the request, with its trailers and the extensions of its chunks, has more than 64 KiB.",
): ...


class UnsupportedFormat(
    Face128Error,
    code="unsupported_format",
    status=415,
    sentence="This is not an image in a supported format: JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC.",
): ...


class UnsupportedEncoding(
    UnsupportedFormat,
    sentence="The body is compressed: its Content-Encoding is not identity. Send it without a Content-Encoding.",
): ...


class InvalidRequest(Face128Error, code="invalid_request", status=422): ...


class InvalidDescriptor(InvalidRequest, code="invalid_descriptor"): ...


class DigestMismatch(
    InvalidRequest, code="digest_mismatch", sentence="The body's SHA-256 is not the digest that the path names."
): ...


class TooFewMembers(
    InvalidRequest, code="too_few_members", sentence="There are too few enrolled members for this alpha."
):
    """For the cohort rule, which needs ``members_needed`` members."""


class ConsentRequired(
    InvalidRequest,
    code="consent_required",
    sentence="Nobody is enrolled here without their consent: name it in the field consent.",
): ...


class NoFace(Face128Error, code="no_face", status=422, sentence="No face detected in image"): ...


class MultipleFaces(Face128Error, code="multiple_faces", status=422): ...


class ClientGone(Face128Error, code="client_gone", status=499, sentence="The client has disconnected."):
    """The client disconnected before it had sent its body. 499 is the status that nginx logs for this."""


class HeadTilted(Face128Error, code="head_tilted", status=422):
    """Refuses an enrolment above FACE128_MAX_ROLL; ``roll`` and ``max_roll`` are in degrees."""


class PoorQuality(Face128Error, code="poor_quality", status=422):
    """Refuses an enrolment below FACE128_MIN_QUALITY; ``verdict``, ``reasons`` and ``measures`` are the photo's."""


class TryLater(Face128Error):
    """The body has ``retry_after``, too."""

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


class OutOfMemory(
    Overloaded, MemoryError, sentence="There is not enough free memory for this photo. Try again shortly."
): ...


class NotReady(Face128Error, code="not_ready", status=503, sentence="The service is still starting."):
    retry_after: int | None = 1


class DatabaseUnavailable(NotReady, code="gallery_away", sentence="The gallery's database cannot be reached."):
    """The gallery cannot be used. The next request tries again; requests without the gallery are not affected."""


class GalleryBusy(
    DatabaseUnavailable,
    code="gallery_busy",
    sentence="The gallery is being changed by another process. Try again shortly.",
): ...


class GalleryFull(
    DatabaseUnavailable,
    code="gallery_full",
    sentence="The gallery's disk is full, or its quota is used up. Nothing can be enrolled until there is room.",
):
    retry_after: int | None = None


class GalleryReadOnly(
    DatabaseUnavailable,
    code="gallery_read_only",
    sentence="The gallery's database, its file or its folder cannot be written.",
):
    retry_after: int | None = None


class GallerySchema(
    DatabaseUnavailable,
    code="gallery_schema",
    sentence="The gallery's tables are not those of this version of face128. Nothing was changed.",
):
    retry_after: int | None = None


class GalleryLocked(
    DatabaseUnavailable,
    code="gallery_locked",
    sentence="The gallery is encrypted, and its key was not given: FACE128_GALLERY_KEY.",
):
    retry_after: int | None = None


class GalleryLost(DatabaseUnavailable):
    """What is open is not the gallery any more. It is opened anew some seconds later."""

    retry_after: int | None = None


class GalleryDeleted(
    GalleryLost,
    code="gallery_deleted",
    sentence="The gallery's file was deleted while the service ran. Put it back, or restart the service without it.",
): ...


class GalleryReplaced(
    GalleryLost,
    code="gallery_replaced",
    sentence="The gallery was replaced or restored while the service ran. It is opened anew in a few seconds.",
):
    retry_after: int | None = 6  # database.REOPEN_AFTER_S


class GalleryCorrupt(
    GalleryLost,
    code="gallery_corrupt",
    sentence="The gallery's database is damaged. Restore it from a backup.",
): ...


METHOD_NOT_ALLOWED = "method_not_allowed"  # the code of the router's own error, which has no class


def answer_codes() -> list[str]:
    """All codes that an answer may have."""

    def classes(root: type[Face128Error]) -> list[type[Face128Error]]:
        return [root, *(each for child in root.__subclasses__() for each in classes(child))]

    return sorted({METHOD_NOT_ALLOWED, *(each.code for each in classes(Face128Error))} - {ConfigurationError.code})
