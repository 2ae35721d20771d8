"""The running service that reencode --post enrols people in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from face128.domain.collection import DEFAULT_COLLECTION
from face128.errors import BadRequest


@dataclass(frozen=True)
class RemoteService:
    url: str
    key: str | None
    terms: Mapping[str, str] = field(default_factory=dict)
    """The fields expires_at and consent that each enrolment sends."""
    collection: str = DEFAULT_COLLECTION
    """That of the key, unless one is named."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise BadRequest(f"--post {self.url} is not the URL of a service, such as http://127.0.0.1:8000")

    @property
    def headers(self) -> dict[str, str]:
        named = {"X-API-Key": self.key, "X-Face-Collection": self.collection}
        return {name: value for name, value in named.items() if value}
