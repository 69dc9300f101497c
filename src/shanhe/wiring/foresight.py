"""What was recorded of decisions by a rule, from wherever it is kept: for simulating a change of that rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.compute.api import BUCKETS, Compute, NoPrice
from shanhe.credits.api import Credits
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Progress
from shanhe.nomads.api import Nomads
from shanhe.programmes.api import Programmes
from shanhe.rulebook.api import Case, Rulebook, Stream, Text
from shanhe.wiring.tariffs import PRICING_RULES

MILLION: Final = 1_000_000
CALLS: Final = Text("按量计价的调用", "Metered calls")
BY_METER: Final = Text(
    "按计量的词元乘标价合计；逐次取整、批量优惠与开发者加价不在内",
    "Metered tokens times list price; rounding of each call, batch prices and makers' markups are not in it",
)


class Foresight:
    """Asks each module that records decisions; knows nothing itself."""

    def __init__(
        self, rulebook: Rulebook, *, programmes: Programmes, nomads: Nomads, credits: Credits, gateway: Gateway,
        compute: Compute,
    ) -> None:  # fmt: skip
        self._prices = {rulebook.rule(one).id for one in PRICING_RULES}
        self._programmes = programmes
        self._nomads = nomads
        self._credits = credits
        self._gateway = gateway
        self._compute = compute

    async def gather(self, rule_id: str, first: date, last: date, most: int, tell: Progress) -> Sequence[Stream]:
        """See `governance.Gather`."""
        found = [*await self._programmes.recorded.cases(rule_id, first, last, most, tell)]
        found += await self._credits.recorded.cases(rule_id, first, last, most, tell)
        found += await self._nomads.recorded.cases(rule_id, first, last, most, tell)
        if rule_id in self._prices:
            found += await self._metered(rule_id, first, last, tell)
        return found

    async def _metered(self, rule_id: str, first: date, last: date, tell: Progress) -> list[Stream]:
        """Metered sums of each payer, at the list price that was in force on the day: who pays what by a price."""
        sums: dict[tuple[UUID, str, str], int] = {}
        unknown: dict[str, int] = {}
        for number in range(first.toordinal(), last.toordinal() + 1):
            day, known = date.fromordinal(number), len(sums)
            for row in await self._gateway.usage_of_all(day, day, ("model", "org")):
                if row.org_id is None or row.model is None:
                    continue
                try:
                    version = self._compute.prices(row.model, day).version
                except NoPrice:  # withdrawn since: its price can't be asked any more
                    unknown["list_price"] = unknown.get("list_price", 0) + 1
                    continue
                for bucket in BUCKETS:
                    tokens = getattr(row, bucket)
                    if tokens:
                        key = (row.org_id, version, bucket)
                        sums[key] = sums.get(key, 0) + tokens
            if len(sums) > known:
                tell(len(sums) - known)
        traces = {version: await self._compute.price_traces(UUID(version)) for version in {key[1] for key in sums}}
        cases = [
            _priced(who, traces[version][bucket], tokens)
            for (who, version, bucket), tokens in sums.items()
            if traces[version][bucket].get("rule") == rule_id
        ]
        if not cases:
            return []
        return [Stream("calls", CALLS, rule_id, cases, paid=("list",), charged=True, per=MILLION, unit="micro",
                       unknown=unknown, note=BY_METER)]  # fmt: skip


def _priced(who: UUID, trace: Mapping[str, Any], tokens: int) -> Case:
    return Case(
        who, trace["version"], {one["name"]: one["value"] for one in trace["inputs"]},
        {one["name"]: one["value"] for one in trace["outputs"]}, times=tokens,
    )  # fmt: skip
