"""Parses the body of POST /match into arrays, without a Python object for each number.

``{"descriptor": D, "enrolled": [{"regNo": 1029, "name": "Vicky T", "descriptor": D}, ...]}``, optionally with
``threshold``, ``model``, ``decision`` and ``template``. The probe and a member may have ``descriptors`` of several
models; a member may have ``descriptors: [D, ...]`` and their own ``model``. Other fields are ignored. Instead of
``enrolled`` a body may have ``enrolled_ref``, the digest of an uploaded list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from face128.domain import decision_rule, probe, template, thresholds
from face128.domain.decision_rule import THRESHOLD, Rule
from face128.domain.members import MatchRequest, MemberList
from face128.domain.model_card import DLIB, MODEL_NAMES, ModelCard, find_card
from face128.errors import BadRequest, InvalidRequest, UnknownList
from face128.events import stage
from face128.match_body import json_document
from face128.match_body.descriptor_rows import DescriptorRows, need_strict_check
from face128.match_body.json_document import ARRAYS, OBJECTS, Body, several_to_python, to_python
from face128.match_body.member_list import member_list

UploadedMembers = Callable[[str, ModelCard], MemberList]
"""Finds the uploaded list with this digest, as parsed for this model. Raises UnknownList."""


def _no_uploads(digest: str, card: ModelCard) -> MemberList:
    raise UnknownList()


@stage("parse")
def parse(
    body: Body,
    *,
    max_members: int = 100_000,
    rule: Rule = THRESHOLD,
    skip_invalid: bool = False,
    uploaded: UploadedMembers = _no_uploads,
) -> MatchRequest:
    """Parse a body of /match; ``rule`` applies if the body names none. Thread-safe.

    Raises BadRequest unless it is a JSON object; InvalidRequest and InvalidDescriptor with the ``field``; UnknownList;
    for the members as ``member_list``.
    """

    def convert(root: Any) -> MatchRequest:
        def members(card: ModelCard) -> MemberList:
            lists = 1 + isinstance(root.get("descriptor"), ARRAYS)  # ``enrolled``, and the probe
            nested = _nested_lists(root["descriptors"]) if "descriptors" in tuple(root) else 0

            def needs_strict_check(rows: Iterable[DescriptorRows]) -> bool:
                return need_strict_check(rows, body, lists + nested, other_nested=nested)

            return member_list(root["enrolled"], card, needs_strict_check, max_members, skip_invalid)

        return to_match_request(root, rule, members, uploaded)

    return json_document.parse(body, convert, any_text=skip_invalid)


def to_match_request(
    root: Any, rule: Rule, members: Callable[[ModelCard], MemberList], uploaded: UploadedMembers = _no_uploads
) -> MatchRequest:
    """The request of a document; calls ``members`` only if it has ``enrolled``. Raises the errors of ``parse``."""
    if not isinstance(root, OBJECTS):
        raise BadRequest("The body is a JSON object with descriptor and enrolled.")
    fields = tuple(root)

    def get(name: str) -> Any:  # asking simdjson for a field that is missing costs a C++ exception
        return root[name] if name in fields else None

    model, threshold, decision = get("model"), get("threshold"), get("decision")
    asked_template = template.parse(get("template"))
    card = DLIB if model is None else find_card(model)
    if card is None:
        raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
    requested = thresholds.parse(to_python(threshold))
    if decision is not None:
        rule = decision_rule.parse(to_python(decision), rule)
    face = probe.parse(to_python(get("descriptor")), several_to_python(get("descriptors")), card)
    enrolled, digest = members(card) if "enrolled" in fields else None, get("enrolled_ref")
    if digest is not None:
        if enrolled is not None:
            raise InvalidRequest("Send enrolled or enrolled_ref, not both.", field="enrolled_ref")
        if type(digest) is not str:
            raise InvalidRequest("enrolled_ref is the digest of an uploaded list.", field="enrolled_ref")
        enrolled = uploaded(digest, card)
    root_fields = () if isinstance(root, dict) else fields
    allowed = thresholds.for_probe(requested, face.own)
    return MatchRequest(face, card, allowed, enrolled, rule, root_fields, asked_template)


def _nested_lists(probe_descriptors: Any) -> int:
    """How many descriptors of the probe are elements of a list."""
    if isinstance(probe_descriptors, ARRAYS):
        return sum(isinstance(each, ARRAYS) for each in probe_descriptors)
    if not isinstance(probe_descriptors, OBJECTS):
        return 0
    return sum(_nested_lists(probe_descriptors[name]) for name in probe_descriptors)
