"""Whose face is this? A list of members, and the decision of POST /match, without a service."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, get_args

import numpy as np

from face128.domain import decision_rule, descriptors, probe, thresholds
from face128.domain.decision_models import DecisionModels
from face128.domain.decision_rule import THRESHOLD
from face128.domain.members import MatchRequest
from face128.domain.model_card import DLIB, MODEL_NAMES, ModelCard, find_card
from face128.domain.template import Template
from face128.domain.template import parse as parse_template
from face128.encoding.encode import Encoding
from face128.errors import InvalidRequest
from face128.match_body.descriptor_rows import need_strict_check
from face128.match_body.member_list import member_list
from face128.matching.decision import decide, has_cohort


class Matcher:
    """The members that a face is compared with, parsed once. Thread-safe."""

    def __init__(
        self,
        members: Iterable[Mapping[str, Any]],
        *,
        threshold: float | Mapping[str, float] | None = None,
        rule: str | Mapping[str, Any] = "threshold",
        model: str = DLIB.name,
        template: Template | None = None,
        decision_models: DecisionModels = "dlib",
    ) -> None:
        """``members``: as ``enrolled`` of POST /match, ``{"regNo": 1029, "name": "Vicky T", "descriptor": D}``.

        D is a list of 128 numbers, an array, base64 of little-endian float32, or the object that
        ``JSON.stringify(Float32Array)`` makes. The others are fields of POST /match too: ``threshold``, the greatest
        distance that is a match, by default the model's own; ``rule``, its ``decision``, or the rule's name alone;
        ``model``, of members that name none; ``template``. ``decision_models`` is FACE128_DECISION_MODELS.

        Raises InvalidRequest, InvalidDescriptor and ModelMismatch, with the field and the member's regNo.
        """
        card = find_card(model)
        if card is None:
            raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="model")
        self._card: ModelCard = card
        if decision_models not in get_args(DecisionModels):
            choices = ", ".join(get_args(DecisionModels))
            raise InvalidRequest(f"The choices are: {choices}.", field="decision_models")
        self._threshold = thresholds.parse(_plain(threshold))
        self._rule = decision_rule.parse({"rule": rule} if isinstance(rule, str) else _plain(rule), THRESHOLD)
        self._template = parse_template(template)
        self._order: DecisionModels = decision_models
        plain = [_plain_member(member) for member in members]
        self._members = member_list(plain, card, lambda rows: need_strict_check(rows, b"", 0), sys.maxsize)
        self._building = threading.Lock()

    def __len__(self) -> int:
        return len(self._members.reg_nos)

    def match(
        self, descriptor: object = None, *, descriptors: Mapping[str, Any] | None = None, explain: bool = False
    ) -> dict[str, Any]:
        """What POST /match answers: ``{"regNo": ..., "name": ...}`` of the member, or ``{"match": False}``.

        ``descriptor``: in any form of a member's, or what ``Encoder.encode`` returned, with its model and companions.
        ``descriptors``: those of several models, by their names. ``explain`` adds the distance, the threshold and the
        runner-up.

        Raises InvalidDescriptor, ModelMismatch, and TooFewMembers by the cohort rule.
        """
        face = self._probe(descriptor, descriptors)
        allowed = thresholds.for_probe(self._threshold, face.own)
        request = MatchRequest(face, self._card, allowed, self._members, self._rule, template=self._template)
        # One thread builds a cohort, which takes all cores; the others wait for it.
        may_build = (explain or self._rule.name == "cohort") and not has_cohort(request)
        with self._building if may_build else nullcontext():
            return decide(request, order=self._order, explain=explain).answer(explain=explain)

    def _probe(self, descriptor: object, several: Mapping[str, Any] | None) -> probe.Probe:
        if not isinstance(descriptor, Encoding):
            return probe.parse(_plain(descriptor), _plain(several), self._card)
        card = find_card(descriptor.model)
        if card is None:
            raise InvalidRequest(f"The models are: {MODEL_NAMES}.", field="descriptor")
        return probe.Probe.of(card, descriptor.descriptor, descriptor.companions)


def _plain_member(member: object) -> object:
    return {name: _plain(value) for name, value in member.items()} if isinstance(member, Mapping) else member


def _plain(value: Any) -> Any:
    """The value as JSON would have it: arrays and numpy's numbers become plain ones, without a change of a bit."""
    if isinstance(value, np.ndarray):
        # Half the memory of a list, and parsed faster.
        is_descriptor = value.dtype == np.float32 and value.ndim == 1
        return descriptors.to_base64(value) if is_descriptor else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        numbers = len(value) > 0 and type(value[0]) in (int, float)
        return list(value) if numbers else [_plain(each) for each in value]
    return value
