"""Who is paid from a model's calls and at which price: rules turned into look-ups that cost the hot path nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.compute.api import SCENES
from shanhe.gateway.meter import BUCKETS
from shanhe.gateway.model import SCENE_RULE, Terms
from shanhe.gateway.tariff import Party, Prices
from shanhe.kernel.clock import Clock, city_date, midnight
from shanhe.ledger.api import Asset, Ledger

if TYPE_CHECKING:
    from shanhe.compute.api import Compute, Target
    from shanhe.rulebook.api import Rulebook

TARGETS_MAX: Final = 1024
"""Targets whose terms are remembered; a changed engine is another target."""
CONTRIBUTION_RULE: Final = "P10"
PRICING_RULE: Final = "P11"
CHARGE_RULE: Final = "P11_call_charge"
BURN_RULE: Final = "C12"
BATCH_RULE: Final = "P11_batch"


class Today:
    """The city's date, worked out once a day instead of once a call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._from = self._until = clock.now()
        self._date = clock.today()

    def __call__(self, now: datetime | None = None) -> date:
        if now is None:
            now = self._clock.now()
        if not self._from <= now < self._until:
            self._date = city_date(now)
            self._from = midnight(self._date).astimezone(UTC)
            self._until = self._from + timedelta(days=1)
        return self._date


class PriceList:
    """List prices by model and day, remembered until compute says that they changed.

    With `deferred`, prices of calls that may wait: the rulebook, which may change within a day, takes something off
    each bucket.
    """

    def __init__(self, compute: Compute, clock: Clock, deferred: Rulebook | None = None) -> None:
        self._compute = compute
        self._deferred = deferred
        self._today = Today(clock)
        self._known: dict[str, tuple[date, int, object, Prices]] = {}

    def of(self, model: str, now: datetime) -> Prices:
        """Prices in force for a model on the day of `now`."""
        on = self._today(now)
        known = self._known.get(model)
        revision = self._compute.price_revision
        edition = None if self._deferred is None else self._deferred.edition
        if known is not None and known[0] == on and known[1] == revision and known[2] is edition:
            return known[3]
        found: Any = self._compute.prices(model, on)
        amounts = [getattr(found, bucket) for bucket in BUCKETS]
        if self._deferred is not None:
            costs = [found.facts[bucket]["cost"] for bucket in BUCKETS]
            amounts = [waiting_price(self._deferred, *pair, on) for pair in zip(amounts, costs, strict=True)]
        by_bucket = dict(zip(BUCKETS, amounts, strict=True))
        prices = Prices(version=found.version, thin=found.thin, loss=found.loss, **by_bucket)
        self._known[model] = (on, revision, edition, prices)
        return prices


def waiting_price(rulebook: Rulebook, list_price: int, cost: int, on: date) -> int:
    """What a token costs, µ per million, in a call that may wait."""
    decision = rulebook.evaluate(BATCH_RULE, {"list_price": list_price, "cost": cost}, on=on)
    return int(decision.outputs["price"])


class TermsBook:
    """Parties of a call by engine: the node's contributor (P10) or the upstream's cost; the platform keeps the rest."""

    def __init__(self, ledger: Ledger, rulebook: Rulebook, clock: Clock) -> None:
        self._ledger = ledger
        self._rulebook = rulebook
        self._today = Today(clock)
        self._known: dict[Target, tuple[date, object, Terms]] = {}
        self.platform: UUID

    async def start(self) -> None:
        """Open the platform's revenue account."""
        self.platform = (await self._ledger.system_account("revenue", Asset.CREDIT)).id

    def of(self, target: Target) -> Terms | None:
        """Remembered terms; None when they have to be loaded."""
        known = self._known.get(target)
        if known is None or known[0] != self._today() or known[1] is not self._rulebook.edition:
            return None
        return known[2]

    async def load(self, target: Target) -> Terms:
        """Read the terms of an engine from the rulebook and open the accounts they name."""
        today, edition = self._today(), self._rulebook.edition
        parties: list[Party] = []
        pricing = SCENE_RULE if target.price_class in SCENES else PRICING_RULE
        rules = {name: self._rulebook.version(name, today) for name in (pricing, CHARGE_RULE, BURN_RULE)}
        if target.contributor is not None:
            account = await self._ledger.ensure_account(target.contributor, Asset.CREDIT, "income")
            share_bps = int(self._rulebook.parameter(CONTRIBUTION_RULE, "contributor_share", today))
            parties.append(Party("node_contributor", account.id, share_bps=share_bps))
            rules[CONTRIBUTION_RULE] = self._rulebook.version(CONTRIBUTION_RULE, today)
        elif target.cost is not None:
            account = await self._ledger.system_account("cost", Asset.CREDIT, target.engine_name)
            at_cost = Prices(version="cost", **{bucket: getattr(target.cost, bucket) for bucket in BUCKETS})
            parties.append(Party("upstream_cost", account.id, cost=at_cost))
        waiting = rules | {BATCH_RULE: self._rulebook.version(BATCH_RULE, today)}
        terms = Terms(tuple(parties), rules, Terms(tuple(parties), waiting))
        if len(self._known) >= TARGETS_MAX:
            self._known.clear()
        self._known[target] = (today, edition, terms)
        return terms
