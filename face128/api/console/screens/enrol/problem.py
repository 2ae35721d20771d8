"""Why somebody was not enrolled, as the form says it: which photo or field it is about, and what may be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from face128.api.console.pages import View, error_sentence
from face128.api.routes import people
from face128.api.routes.enrolment import MAX_USER_FACES
from face128.errors import (
    ConsentRequired,
    Duplicate,
    Face128Error,
    InconsistentPerson,
    InvalidRequest,
    NotFound,
    PoorQuality,
    TooManyImages,
)
from face128.service.gallery_access import CollectionAccess

FIELDS = {"user_id": "id", "name": "name", "reg_no_type": "reg_no_type", "expires_at": "expires_at", "images": "images"}
"""The fields of the form by those that the errors name; consent has an error of its own, too."""


@dataclass(frozen=True)
class Problem:
    sentence: str
    code: str
    photo: int | None = None
    """The place of the photo that it is about, from 0."""
    field: str | None = None
    ask: Literal["force", "replace"] | None = None
    """What to send with the form if the person at the desk says yes."""
    question: str | None = None
    answer: str | None = None
    """That yes, in words."""
    person: str | None = None
    """The address of the page of whom the sentence names."""

    def to_json(self) -> dict[str, Any]:
        return {"error": self.sentence, **{name: value for name, value in vars(self).items() if name != "sentence"}}


async def problem_of(
    view: View, access: CollectionAccess, error: Face128Error, user_id: str, photo_count: int
) -> Problem:
    text = view.sentences.text
    match error:
        case Duplicate():
            other = error.context["user_id"]
            sentence = text("enrol.duplicate", who=who(error.context["name"], other))
            return _question(view, error, sentence, "force", "duplicate", other)
        case InconsistentPerson() | TooManyImages() if photo_count <= MAX_USER_FACES:
            stored = await _stored(access, user_id)
            named = who(stored[0], user_id) if stored else ""
            if isinstance(error, TooManyImages):
                sentence = text("enrol.too_many", who=named, n=stored[1] if stored else 0)
                return _question(view, error, sentence, "replace", "too_many", user_id if stored else None)
            sentence = text("enrol.inconsistent", who=named) if stored else text("enrol.inconsistent_new")
            return _question(view, error, sentence, "force", "inconsistent", user_id if stored else None)
        case TooManyImages():
            return Problem(text("enrol.wrong.too_many_files"), error.code, field="images")
        case PoorQuality():
            sentence = " ".join([text("enrol.poor"), *reasons(view, error.context["reasons"])])
            return Problem(sentence, error.code, photo=error.context.get("index"))
        case ConsentRequired():
            return Problem(text("enrol.wrong.consent_required"), error.code, field="consent")
        case InvalidRequest() if (field := error.context.get("field")) in (*FIELDS, "consent"):
            field = FIELDS.get(field, field)
            return Problem(text(f"enrol.wrong.{field}"), error.code, field=field)
    return Problem(error_sentence(view.request, error), error.code, photo=error.context.get("index"))


def reasons(view: View, names: list[str]) -> list[str]:
    """What a person can do about each reason of a photo's quality."""
    return [view.sentences.text(f"quality.{name}") for name in names]


def who(name: str | None, user_id: str) -> str:
    """Isolated: a name that is written from right to left must not turn the sentence around it."""
    return f"\u2068{name}\u2069 (\u2068{user_id}\u2069)" if name else f"\u2068{user_id}\u2069"


def _question(
    view: View,
    error: Face128Error,
    sentence: str,
    ask: Literal["force", "replace"],
    kind: str,
    user_id: str | None,
) -> Problem:
    person = view.url("person", id=user_id) if user_id else None
    question, answer = view.sentences.text(f"enrol.ask.{kind}"), view.sentences.text(f"enrol.yes.{kind}")
    photo = error.context.get("index")
    return Problem(sentence, error.code, photo, ask=ask, question=question, answer=answer, person=person)


async def _stored(access: CollectionAccess, user_id: str) -> tuple[str | None, int] | None:
    """The name of a person and the number of their photos; None if nobody has this id."""
    try:
        found = await people.read_person(user_id, access)
    except NotFound:
        return None
    return found.name, len(found.photos)
