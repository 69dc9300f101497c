"""Publishing prices: what the rules say is written down, dated, and announced to those whom it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from shanhe.compute import pricing, store
from shanhe.compute.errors import BadEngine, UnknownModel
from shanhe.compute.model import BUCKETS, REFERENCED, Engine, NewEngine, Rates
from shanhe.kernel.asking import Announce
from shanhe.kernel.clock import Clock

PRICE_TOPIC: Final = "compute.price_announced"


class PriceDesk:
    """Asks the pricing rule and writes its answers. `cost_rule` gives a chip's reference cost, where there is one."""

    def __init__(
        self, clock: Clock, rule: pricing.PriceRule, cost_rule: pricing.PriceRule | None, announce: Announce | None
    ) -> None:
        self._clock = clock
        self._rule = rule
        self._cost_rule = cost_rule
        self._announce = announce

    def reference_cost(self, chip_class: str, model_class: str) -> Rates | None:
        """Reference cost of a class of models on a class of chips, today; None without a rule for it."""
        if self._cost_rule is None:
            return None
        today = self._clock.today()
        costs: dict[str, int] = {}
        for bucket in REFERENCED:
            facts = {"chip_class": chip_class, "model_class": model_class, "bucket": bucket}
            costs[bucket] = int(self._cost_rule(facts, today).outputs["cost"])
        return Rates.of(costs)

    def cost_of(self, new: NewEngine) -> Rates:
        """What a token costs on a new engine: as registered, else by its chip; BadEngine if neither is told."""
        if new.cost is not None:
            return new.cost
        found = self.reference_cost(new.chip_class, new.model_class) if new.chip_class else None
        if found is None:
            raise BadEngine(
                "cost",
                "The registration tells neither what tokens cost nor the class of the chip.",
                "登记中既没有成本，也没有芯片级别。",
                hint="Give the cost of input and output tokens, or the chip class of a contributed node.",
                hint_zh="请填写输入与输出成本，或入股节点的芯片级别。",
            )
        return found

    def preview(self, engines: Sequence[Engine], model: str, on: date) -> pricing.Computed:
        """What the rule says about a model on a date; UnknownModel when no enabled engine serves it."""
        served = [one for engine in engines if engine.enabled for one in engine.models if one.model == model]
        if not served:
            raise UnknownModel(model)
        return pricing.compute(self._rule, pricing.cost_of(served), served[0].price_class, on)

    async def publish(self, conn: Any, model: str, valid_from: date, actor: str) -> str:
        """Write a model's price from a date on and announce it; the version's id.

        Where the amounts are those in force already, nothing is written. The caller holds the transaction.
        """
        computed = self.preview(await store.engines(conn), model, valid_from)
        book = pricing.PriceBook(await store.prices(conn))
        before = next((one for one in book.history(model) if one.valid_from <= valid_from), None)
        amounts = computed.amounts()
        if before is not None and amounts == {bucket: getattr(before, bucket) for bucket in BUCKETS}:
            return before.version
        now = self._clock.now()
        version = await store.insert_price(conn, model, valid_from, now, computed.rule_version, actor, computed.parts)
        if before is not None and self._announce is not None:
            payload = {
                "model": model,
                "valid_from": valid_from.isoformat(),
                "version": str(version),
                "old": {bucket: getattr(before, bucket) for bucket in BUCKETS},
                "new": amounts,
            }
            await self._announce(conn, PRICE_TOPIC, model, payload)
        return str(version)
