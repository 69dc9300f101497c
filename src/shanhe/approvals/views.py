"""Openings of break-glass as plain data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shanhe.approvals.glass_model import Act, Glass


def act_view(act: Act) -> dict[str, Any]:
    return {
        "id": act.id, "n": act.n, "class": act.kind, "object": act.object, "value_fen": act.value_fen,
        "posting": act.posting, "at": act.at, "reversal": act.reversal, "reversal_state": act.reversal_state,
    }  # fmt: skip


def glass_view(one: Glass, now: datetime) -> dict[str, Any]:
    """An opening with what was done under it and how it was judged; people stay ids."""
    review = one.review
    return {
        "id": one.id, "person_id": one.person_id, "class": one.kind, "object": one.object, "reason": one.reason,
        "factor": one.factor, "opened_at": one.opened_at, "expires_at": one.expires_at, "cap_fen": one.cap_fen,
        "spent_fen": one.spent_fen, "state": str(one.state(now)), "ended_at": one.ended_at,
        "review_due": one.review_due, "overdue": one.overdue(now), "acts": [act_view(act) for act in one.acts],
        "review": None if review is None else {
            "by": review.by, "at": review.at, "justified": review.justified, "follow_up": str(review.follow_up),
            "findings": review.findings,
        },
    }  # fmt: skip
