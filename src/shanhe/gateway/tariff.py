"""What a call costs and who is paid for it: exact fractions until one final rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from shanhe.gateway.meter import Buckets
from shanhe.kernel.money import round_half_even
from shanhe.ledger.api import split_scaled

PER_TOKENS: Final = 1_000_000
"""Prices are micro-credits per this many tokens."""


class Prices(msgspec.Struct, frozen=True):
    """List prices of one model in force on one day, µ per million tokens by bucket."""

    input: int
    cached_input: int
    output: int
    reasoning: int
    tool: int
    version: str
    thin: bool = False
    loss: bool = False
    cache_write: int = 0

    def numerator(self, buckets: Buckets) -> int:
        """Price of the buckets in µ × PER_TOKENS."""
        return (
            buckets.input * self.input
            + buckets.cached_input * self.cached_input
            + buckets.output * self.output
            + buckets.reasoning * self.reasoning
            + buckets.tool * self.tool
            + buckets.cache_write * self.cache_write
        )

    def most(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The largest price in µ that so many tokens can have, whatever buckets they fall into; rounded up."""
        dearest_in = max(self.input, self.cached_input, self.cache_write)
        dearest_out = max(self.output, self.reasoning, self.tool)
        return -(-(prompt_tokens * dearest_in + completion_tokens * dearest_out) // PER_TOKENS)


class Party(msgspec.Struct, frozen=True):
    """Someone who is paid from a call: an account and a share.

    `share_bps` of the list price (node contributors, P10), or `cost` in µ per million tokens by bucket (upstreams).
    """

    role: str
    account: UUID
    share_bps: int = 0
    cost: Prices | None = None


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one party of a call receives, µ; `resource` names the listing it is for."""

    role: str
    account: UUID
    amount_micro: int
    resource: str = ""


class Charged(msgspec.Struct, frozen=True):
    """A priced call: total and shares that sum to it, µ. `uncovered_micro` is cost above the price (a loss)."""

    total_micro: int
    shares: tuple[Share, ...]
    uncovered_micro: int = 0


SCALE: Final = PER_TOKENS * 10_000
"""Shares are worked out as integers over this: prices are per million tokens, shares in basis points."""


def charge(prices: Prices, buckets: Buckets, parties: Sequence[Party], platform: UUID, receipt_id: UUID) -> Charged:
    """Price a call and split it. The platform is the residual; the parts sum to the total exactly.

    Each party gets its exact share rounded by `split_scaled` (unbiased by the receipt id, never above the total).
    """
    numerator = prices.numerator(buckets)
    total = round_half_even(numerator, PER_TOKENS)
    if not parties:
        return Charged(total, (Share("platform", platform, total),) if total else ())
    left = total * SCALE
    scaled: list[int] = []
    uncovered = 0
    for party in parties:
        due = party.cost.numerator(buckets) * 10_000 if party.cost is not None else numerator * party.share_bps
        paid = min(due, left)
        uncovered += due - paid
        left -= paid
        scaled.append(paid)
    scaled.append(left)
    amounts = split_scaled(scaled, SCALE, receipt_id)
    shares = [
        Share(party.role, party.account, amount) for party, amount in zip(parties, amounts, strict=False) if amount
    ]
    if amounts[-1]:
        shares.append(Share("platform", platform, amounts[-1]))
    return Charged(total, tuple(shares), round_half_even(uncovered, SCALE) if uncovered else 0)
