"""What every active company did in four quarters, for its value index (T13): read from where each is booked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from shanhe.facts.api import Fact, Facts, Use
from shanhe.gateway.api import Gateway
from shanhe.identity.api import Identity
from shanhe.kernel.asking import Related
from shanhe.programmes.api import Counted
from shanhe.rulebook.api import Rulebook

KINDS_RULE: Final = "C9"
PURPOSE: Final = "programmes"
GRANTED: Final = ("patent", "software_copyright")
JOBS: Final = "insured_jobs"
DATA: Final = "data"
NAMES_AT_ONCE: Final = 500
ListingsOf = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Sequence[tuple[str, str]]]]]
"""(kind, name) of everything that each owner published."""


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
        """Of each company that used credits between two days, both included. As many questions for a thousand companies
        as for a few, but for relations between makers and those who called them."""
        used = {row.org_id: row.amount_micro for row in await self._gateway.usage_of_all(first, last, ("org",))
                if row.org_id is not None and row.amount_micro > 0}  # fmt: skip
        companies = sorted(await self._identity.orgs.companies_among(list(used)))
        uses = await self._uses(companies, first, last)
        async with self._facts.reading(Use(PURPOSE, "system")) as reader:
            known = await reader.sound_of_many(companies, on=last, wanted=[*GRANTED, JOBS])
        return {one: self._counted(used[one], uses[one], known[one], last) for one in companies}

    def _counted(self, usage: int, uses: Mapping[str, int], known: Sequence[Fact], last: date) -> Counted:
        granted = sum(1 for fact in known if fact.name in GRANTED)
        jobs = next((int(fact.value or 0) for fact in known if fact.name == JOBS), 0)
        points = self._rulebook.evaluate(KINDS_RULE, {"kind": "data", "units": uses[DATA]}, on=last).outputs["points"]
        return Counted(usage, uses[""] + granted, jobs, int(points))

    async def _uses(self, owners: Sequence[UUID], first: date, last: date) -> dict[UUID, dict[str, int]]:
        """Calls of each owner's listings by whom the owner is not related to: of data, and of the rest."""
        found = {owner: {"": 0, DATA: 0} for owner in owners}
        listed = {name: (owner, DATA if kind == DATA else "")
                  for owner, names in (await self.listings(owners)).items() for kind, name in names}  # fmt: skip
        related: dict[tuple[UUID, UUID], bool] = {}
        names = sorted(listed)
        for at in range(0, len(names), NAMES_AT_ONCE):
            for use in await self._gateway.payers(names[at : at + NAMES_AT_ONCE], first, last):
                owner, kind = listed[use.resource]
                if use.org_id is None:
                    continue
                pair = owner, use.org_id
                if pair not in related:
                    related[pair] = await self._related(*pair)
                found[owner][kind] += 0 if related[pair] else use.calls
        return found
