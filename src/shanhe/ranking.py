"""What every active company did in four quarters, for its value index (T13): read from where each is booked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from shanhe.facts.api import Facts, Use
from shanhe.gateway.api import Gateway
from shanhe.identity.api import Identity, OrgKind
from shanhe.programmes.api import Counted
from shanhe.rulebook.api import Rulebook

KINDS_RULE: Final = "C9"
PURPOSE: Final = "programmes"
GRANTED: Final = ("patent", "software_copyright")
JOBS: Final = "insured_jobs"
DATA: Final = "data"
PAGE_ROWS: Final = 500
Related = Callable[[UUID, UUID], Awaitable[bool]]
ListingsOf = Callable[[UUID], Awaitable[Sequence[tuple[str, str]]]]
"""(kind, name) of everything that an owner published."""


class Ranking:
    """Reads only. Use by related parties (R0) counts in nobody's innovation or data."""

    listings: ListingsOf
    """Set once the store is there."""

    def __init__(
        self, gateway: Gateway, facts: Facts, identity: Identity, rulebook: Rulebook, related: Related
    ) -> None:
        self._gateway = gateway
        self._facts = facts
        self._identity = identity
        self._rulebook = rulebook
        self._related = related

    async def count(self, first: date, last: date) -> Mapping[UUID, Counted]:
        """Of each company that used credits between two days, both included."""
        used = {row.org_id: row.amount_micro for row in await self._gateway.usage(None, first, last, ("org",))
                if row.org_id is not None and row.amount_micro > 0}  # fmt: skip
        found = {}
        for org_id, usage in used.items():
            if (await self._identity.orgs.get(org_id)).kind is OrgKind.COMPANY:
                found[org_id] = await self._of(org_id, usage, first, last)
        return found

    async def _of(self, org_id: UUID, usage: int, first: date, last: date) -> Counted:
        uses = {"": 0, DATA: 0}
        for kind, name in await self.listings(org_id):
            uses[DATA if kind == DATA else ""] += await self._by_strangers(org_id, name, first, last)
        async with self._facts.reading(Use(PURPOSE, "system")) as reader:
            known = await reader.of(org_id, on=last, wanted=[*GRANTED, JOBS], sound=True)
        granted = sum(1 for fact in known if fact.name in GRANTED)
        jobs = next((int(fact.value or 0) for fact in known if fact.name == JOBS), 0)
        points = self._rulebook.evaluate(KINDS_RULE, {"kind": "data", "units": uses[DATA]}, on=last).outputs["points"]
        return Counted(usage, uses[""] + granted, jobs, int(points))

    async def _by_strangers(self, owner: UUID, name: str, first: date, last: date) -> int:
        """Calls of one listing by whom its owner is not related to."""
        return sum([use.calls for use in await self._gateway.payers(name, first, last)
                    if use.org_id is not None and not await self._related(owner, use.org_id)])  # fmt: skip
