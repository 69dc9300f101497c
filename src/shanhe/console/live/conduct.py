"""See `ports_watch.ConductDesk`: over filings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of, receipt_id
from shanhe.filings.api import (
    AlgorithmKind,
    Complaint,
    Filing,
    Grievance,
    NewAlgorithm,
    NewComplaint,
    algorithm_view,
    complaint_view,
    event_view,
    month_view,
    months_csv,
)
from shanhe.identity.api import org_of
from shanhe.kernel.ids import new_id

EVENTS_SHOWN = 50


class LiveConduct:
    def __init__(self, modules: Modules) -> None:
        self._filings = modules.filings
        self._clock = modules.clock

    async def register(self) -> Mapping[str, Any]:
        filings = self._filings
        return {
            "algorithms": [algorithm_view(one) for one in await filings.register.list()],
            "months": [month_view(one) for one in await filings.moderation.public_months()],
        }

    async def algorithm(self, algorithm_id: UUID) -> Mapping[str, Any]:
        return algorithm_view(await self._filings.register.get(algorithm_id))

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        found = await self._filings.complaints.list(org_id=org_of(actor_of(who)))
        return [self._shown(one) for one in found]

    def _shown(self, one: Any) -> dict[str, Any]:
        now = self._clock.now()
        appealable = one.state == "rejected" and one.appeal_until is not None and one.appeal_until >= now
        return complaint_view(one, now) | {"appealable": appealable}

    async def _judged(self, one: Complaint) -> dict[str, Any]:
        """A complaint with the words it is about, where it is about words."""
        subject = await self._filings.complaints.subject(one)
        about = {"words": "", "link": ""} if subject is None else {"words": subject.text, "link": subject.link}
        return self._shown(one) | about

    async def complain(self, who: m.Who, fields: Mapping[str, str]) -> None:
        number = UUID(fields["id"]) if fields.get("id") else new_id()
        listing = fields.get("listing", "").strip()
        receipt = None if listing else receipt_id(fields.get("receipt", ""))
        new = NewComplaint(number, receipt, Grievance(fields.get("category", "")), fields.get("text", ""), listing)
        await self._filings.complaints.make(new, org_id=org_of(actor_of(who)), by=actor_of(who).ref)

    async def appeal(self, who: m.Who, complaint_id: UUID, text: str) -> None:
        await self._filings.complaints.appeal(complaint_id, text, org_id=org_of(actor_of(who)))

    async def desk(self, who: m.Who) -> Mapping[str, Any]:
        filings = self._filings
        return {
            "algorithms": [algorithm_view(one, whole=True) for one in await filings.register.list()],
            "complaints": [await self._judged(one) for one in await filings.complaints.list()],
            "events": [event_view(one) for one in await filings.moderation.events(limit=EVENTS_SHOWN)],
            "months": [month_view(one) for one in await filings.moderation.months()],
        }

    async def add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        assessed = fields.get("assessed_on", "")
        new = NewAlgorithm(
            UUID(fields["id"]) if fields.get("id") else new_id(), fields.get("subject", ""),
            fields.get("name_zh", ""), fields.get("name_en", ""), fields.get("operator", ""),
            AlgorithmKind(fields.get("kind", "")), fields.get("purpose_zh", ""), fields.get("purpose_en", ""),
            fields.get("sources_zh", ""), fields.get("sources_en", ""),
            UUID(fields["responsible"]) if fields.get("responsible") else None,
            date.fromisoformat(assessed) if assessed else None,
        )  # fmt: skip
        await self._filings.register.add(new, by=actor_of(who).ref)

    async def move(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None:
        filed = fields.get("filed_on", "")
        await self._filings.register.move(
            algorithm_id, Filing(fields.get("state", "")), by=actor_of(who).ref, number=fields.get("number", ""),
            filed_on=date.fromisoformat(filed) if filed else None, reason=fields.get("reason", ""),
        )  # fmt: skip

    async def attach(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None:
        await self._filings.register.attach(
            algorithm_id, fields.get("kind", ""), fields.get("title", ""), fields.get("sha256", "").strip(),
            by=actor_of(who).ref,
        )  # fmt: skip

    async def decide(
        self, who: m.Who, complaint_id: UUID, *, uphold: bool, answer: str, state: str | None
    ) -> None:  # fmt: skip
        await self._filings.complaints.decide(
            complaint_id, uphold=uphold, answer=answer, person_id=who.person_id, state=state
        )

    async def months_csv(self, who: m.Who) -> str:
        return months_csv(await self._filings.moderation.months())
