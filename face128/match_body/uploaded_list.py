"""A list of members that a client has put once, so that each /match only names its digest."""

from __future__ import annotations

import hashlib
import re
from sys import getsizeof

from face128.domain.members import MemberList
from face128.domain.model_card import ModelCard
from face128.errors import DigestMismatch
from face128.match_body.json_document import Body
from face128.match_body.member_list import parse_list

MAX_MODELS_PER_LIST = 2  # parsed for at once

DIGEST = re.compile(r"sha256-[0-9a-f]{64}")


class NotParsed(Exception):
    """The list is not parsed for this model yet. Parsing it may take long."""


class UploadedList:
    """The text of a list, and its members as parsed for the models that were asked for last. Thread-safe.

    The owner is the digest of the API key that put it, or "" if the service has no keys.
    """

    def __init__(self, owner: str, digest: str, body: Body, *, max_members: int, skip_invalid: bool) -> None:
        self.owner = owner
        self.digest = digest
        self.last_used_s = 0.0  # on the cache's clock
        self._body = body
        self._max_members = max_members
        self._skip_invalid = skip_invalid
        self._parsed: tuple[tuple[str, MemberList], ...] = ()
        self.memory_bytes = getsizeof(body)

    def check_digest(self) -> None:
        """Raises DigestMismatch unless the digest is the body's."""
        if self.digest != "sha256-" + hashlib.sha256(self._body).hexdigest():
            raise DigestMismatch()

    def parse(self, card: ModelCard) -> MemberList:
        """The members for this model, parsed now if they are not. Raises as ``parse_list``."""
        try:
            return self.parsed(card)
        except NotParsed:
            members = parse_list(self._body, card, max_members=self._max_members, skip_invalid=self._skip_invalid)
            parsed = self._parsed = ((card.name, members), *self._parsed)[:MAX_MODELS_PER_LIST]
            self.memory_bytes = getsizeof(self._body) + sum(each.nbytes for _, each in parsed)
            return members

    def parsed(self, card: ModelCard) -> MemberList:
        """The members for this model. Raises NotParsed."""
        for model, members in self._parsed:
            if model == card.name:
                return members
        raise NotParsed
