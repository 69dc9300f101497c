"""Nomads of the double: a card with a used ticket, a venue that served, a feed with every outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
VENUE_ID = UUID(int=601)
CARD: dict[str, Any] = {
    "id": UUID(int=602), "year": 1, "rule": "N1_qualify", "standing": "valid", "valid_from": date(2026, 5, 30),
    "valid_until": date(2027, 5, 29), "days_at_least": 90, "issued_at": AT, "revoked_at": None,
}  # fmt: skip
VENUE: dict[str, Any] = {
    "id": VENUE_ID, "org_id": UUID(int=7), "name": "竹溪客栈", "kind": "lodging", "address": "竹溪路 1 号",
    "public_key": "ab" * 32, "own_key": False, "certified": False, "closed_at": None,
}  # fmt: skip
APPEAL: dict[str, Any] = {
    "id": UUID(int=603), "decision": UUID(int=605), "why": "住在朋友家", "days": (date(2026, 3, 2),),
    "evidence": "租约 7", "state": "open", "asked_at": AT, "due_at": AT, "answer": "", "decided_at": None,
}  # fmt: skip


class NomadDesk:
    """See `ports.NomadDesk`. `fresh`: somebody who has nothing yet."""

    def __init__(self) -> None:
        self.fresh = False
        self.renewed: Mapping[str, Any] | None = None
        self.done: list[tuple[Any, ...]] = []

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        reasons = [{"code": "days", "zh": "还差 1 天", "en": "1 more day"}]
        return {
            "days": 89, "needed": 90, "missing": 1, "kind": "issue" if self.fresh else "renewal",
            "standing": "none" if self.fresh else "valid", "member": False, "declared": not self.fresh,
            "card": None if self.fresh else CARD, "reasons": reasons, "number": "N12345678",
            "renewal_opens": None if self.fresh else date(2027, 3, 30), "consent": not self.fresh,
            "renewed": self.renewed,
            "notice": {"zh": "在场记录属于敏感个人信息。", "en": "Presence is sensitive."},
            "appeals": [] if self.fresh else [APPEAL, {**APPEAL, "state": "rejected", "answer": "无入住记录"}],
            "refusal": None if self.fresh else UUID(int=604),
        }  # fmt: skip

    async def appeal(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.done.append(("appeal", dict(fields)))

    async def decide_appeal(self, who: m.Who, appeal_id: UUID, *, uphold: bool, answer: str) -> None:
        self.done.append(("decide_appeal", appeal_id, uphold, answer))

    async def kit(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        return {"venue": str(venue_id), "public_key": "ab" * 32, "made_on": "2026-11-20", "report_within_days": 45,
                "keys": []}  # fmt: skip

    async def report(self, who: m.Who, venue_id: UUID, scans: str) -> Sequence[Mapping[str, Any]]:
        self.done.append(("report", scans))
        return [{"scanner": "a", "seq": 0, "outcome": "settled", "admitted": 1, "zh": "已核销", "en": "redeemed"}]

    async def consent(self, who: m.Who, given: bool) -> None:
        self.done.append(("consent", given))

    async def declare(self, who: m.Who, city: str) -> None:
        self.done.append(("declare", city))

    async def check_in(self, who: m.Who, code: str) -> Mapping[str, Any]:
        self.done.append(("check_in", code))
        return {"day": AT.date(), "counted": True, "days": 90, "venue": "竹溪客栈"}

    async def membership(self, who: m.Who, proof: str) -> None:
        self.done.append(("membership", proof))

    async def apply(self, who: m.Who, client_ref: str) -> bool:
        self.done.append(("apply", client_ref))
        return not self.fresh

    async def places(self) -> Sequence[Mapping[str, Any]]:
        return (
            []
            if self.fresh
            else [{"name": "湖滨共享办公", "kind": "space", "address": "湖滨路 1 号", "certified": False}]
        )

    async def card(self, who: m.Who) -> Mapping[str, Any]:
        shown = {"number": "N12345678", "pass_code": "SH1.cGFzcw.c2ln", "card": None}
        until = (self.renewed or CARD)["valid_until"]
        return shown if self.fresh else {**shown, "card": CARD, "until": until, "shown": "a.b.c~", "token": "a.b.c~d~"}

    async def purse(self, who: m.Who) -> Mapping[str, Any]:
        if self.fresh:
            return {"left": {}, "voucher_fen": 0, "tickets": []}
        tickets = [{"number": 1, "code": "", "used_on": AT.date()}, {"number": 2, "code": "SH1.dA.cw", "used_on": None},
                   {"number": 3, "code": "", "used_on": None}]  # fmt: skip
        return {"left": {"attraction": 4, "night": 60, "course": 5}, "voucher_fen": 5_000, "tickets": tickets}

    async def venues(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [] if self.fresh else [VENUE, {**VENUE, "closed_at": AT}, {**VENUE, "own_key": True}]

    async def venue(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        served = [] if self.fresh else [{"day": AT.date(), "what": "presence", "uses": 12, "people": 12}]
        return {**VENUE, "tallies": served}

    async def screen(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        return {**VENUE, "code": "SH1.dg.cw", "link": "https://city/nomad/check-in?c=SH1.dg.cw"}

    async def gate(self, who: m.Who, venue_id: UUID, fields: Mapping[str, str]) -> Mapping[str, str]:
        self.done.append(("gate", dict(fields)))
        return {"zh": "已签到。", "en": "Checked in."}

    async def feed(self, who: m.Who, venue_id: UUID, data: bytes) -> Mapping[str, Any]:
        outcomes = ("counted", "known", "conflict", "refused")
        rows = [{"row": n, "nomad": "N12345678", "day": "2026-11-19", "outcome": outcome, "zh": "说明", "en": "why"}
                for n, outcome in enumerate(outcomes, 2)]  # fmt: skip
        return {**dict.fromkeys(outcomes, 1), "rows": rows}

    async def operations(self, who: m.Who) -> Mapping[str, Any]:
        return {
            "appeals": [] if self.fresh else [APPEAL],
            "figures": {"people": 12, "cards": 3, "refused": 1, "tickets": 2},
            "venues": [] if self.fresh else [{**VENUE, "org": "竹溪运营", "certified": True},
                                             {**VENUE, "org": "竹溪运营", "closed_at": AT}],
            "organisations": [] if self.fresh else [{"name": "游民之家", "since": AT.date(), "until": None}],
        }  # fmt: skip

    async def venue_add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.done.append(("venue", dict(fields)))

    async def venue_close(self, who: m.Who, venue_id: UUID) -> None:
        self.done.append(("close", venue_id))

    async def venue_certify(self, who: m.Who, venue_id: UUID) -> None:
        self.done.append(("certify", venue_id))

    async def venue_uncertify(self, who: m.Who, venue_id: UUID, reason: str) -> None:
        self.done.append(("uncertify", venue_id, reason))

    async def recognise(self, who: m.Who, org: str, public_key: str) -> None:
        self.done.append(("recognise", org))
