"""The members that ``?skip_invalid=true`` left out, as answers name them."""

from __future__ import annotations

from typing import Any

from face128.domain.members import MemberList

MAX_NAMED_MEMBERS = 100


def skipped_members(members: MemberList | None) -> dict[str, Any]:
    """``skipped`` names the first MAX_NAMED_MEMBERS of them. ``members`` is None where the gallery was searched."""
    skipped = members.skipped if members else ()
    named = skipped[:MAX_NAMED_MEMBERS]
    return {
        "skipped": [
            {"index": each.index, "regNo": each.reg_no, "field": each.field, "code": each.code} for each in named
        ],
        "skipped_count": len(skipped),
    }
