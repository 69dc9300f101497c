"""Who else is paid from a call that came through a listing: makers' markups (P6, T17), IP (T16) and a referrer (B2).

Pure and in integers throughout: every due is a numerator over one denominator until `split_scaled` rounds once. The
platform is the residual, so what nobody may earn (related parties, R0) stays with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from shanhe.gateway.meter import Buckets
from shanhe.gateway.tariff import PER_TOKENS, Charged, Party, Prices, Share
from shanhe.kernel.money import round_half_even
from shanhe.ledger.api import Provenance, split_scaled

BPS: Final = 10_000
PPM: Final = 1_000_000
ROUNDING_MICRO: Final = 2
SCALE: Final = PER_TOKENS * BPS * BPS * PPM
"""Every due is a whole number over this: tokens, a markup, a maker's part of it, and a rate in millionths."""
Divide = Callable[[int, Sequence[int]], Sequence[int]]
"""An amount by weights, exactly: T17."""
Burning = Callable[[int, int], Mapping[Provenance, int]]
"""What a total would burn by provenance, of subsidy at most so much: the reservation's answer."""


class Maker(msgspec.Struct, frozen=True):
    """Who earns a markup, by weight: recorded shares (T17) or tokens in the final answer (T3). `related` earns none."""

    account: UUID
    weight: int
    related: bool = False


class Markup(msgspec.Struct, frozen=True):
    """What a listing adds to a call: a part of the model cost, and a fee a call in µ.

    `carried_micro`: model cost of earlier calls of the same run, whose markup is due with this one.
    """

    role: str
    resource: str
    rate_bps: int
    fee_micro: int
    makers: tuple[Maker, ...]
    carried_micro: int = 0


class Royalty(msgspec.Struct, frozen=True):
    """A right's part of the call's price (T16): to one holder's account, or among `holders` by recorded shares (T17).

    `right` is its name in the registry; empty where a listing names a holder without one.
    """

    resource: str
    account: UUID | None
    rate_ppm: int
    right: str = ""
    holders: tuple[Maker, ...] = ()


class Referral(msgspec.Struct, frozen=True):
    """The referrer's part of what the payer paid, subsidies apart (B2)."""

    account: UUID
    rate_bps: int


class Commission(msgspec.Struct, frozen=True, eq=False):
    """Everyone who is paid from one call besides the engine and the platform, and the rules that say so.

    The same only as itself, so that what follows from one can be remembered by it at the cost of no comparison.
    """

    markups: tuple[Markup, ...]
    royalties: tuple[Royalty, ...]
    referral: Referral | None
    developer_bps: int
    subsidy_markup_bps: int
    rules: dict[str, str]

    @property
    def rate_bps(self) -> int:
        return sum(markup.rate_bps for markup in self.markups)

    @property
    def fee_micro(self) -> int:
        return sum(markup.fee_micro for markup in self.markups)

    def weighed(self, resource: str, tokens: Mapping[UUID, int]) -> Commission:
        """The same with a listing's makers weighed by account: their tokens in the answer (T3)."""
        markups = tuple(
            markup
            if markup.resource != resource
            else msgspec.structs.replace(
                markup,
                makers=tuple(Maker(one.account, tokens.get(one.account, 0), one.related) for one in markup.makers),
            )
            for markup in self.markups
        )
        return msgspec.structs.replace(self, markups=markups)

    @property
    def bounded(self) -> bool:
        """Whether R1 can keep subsidy from paying a call as a whole."""
        return self.fee_micro > 0 or self.rate_bps > self.subsidy_markup_bps

    @property
    def whole(self) -> bool:
        """Whether a call that costs its fee alone splits into whole µ, so that its receipt's number rounds nothing."""
        fee = self.fee_micro
        even = all(markup.fee_micro * self.developer_bps % BPS == 0 for markup in self.markups)
        even = even and all(fee * royalty.rate_ppm % PPM == 0 for royalty in self.royalties)
        return even and (self.referral is None or fee * self.referral.rate_bps % BPS == 0)

    def held(self, model_micro: int) -> tuple[int, int]:
        """(largest price, of which at most so much subsidy) of a call whose model costs at most `model_micro`.

        Whatever the model costs in the end, what subsidy may not pay is there: the fee, and of the markup what exceeds
        R1's part, which is largest with the largest model cost. Two µ more than that, because totals are rounded; a fee
        alone is whole.
        """
        most = model_micro + -(-model_micro * self.rate_bps // BPS) + self.fee_micro
        most += sum(-(-one.carried_micro * one.rate_bps // BPS) for one in self.markups)
        if not self.bounded:
            return most, most
        excess = max(0, -(-model_micro * (self.rate_bps - self.subsidy_markup_bps) // BPS))
        excess += sum(-(-one.carried_micro * max(0, one.rate_bps - self.subsidy_markup_bps) // BPS)
                      for one in self.markups)  # fmt: skip
        rounding = ROUNDING_MICRO if most > self.fee_micro else 0
        return most + rounding, most - self.fee_micro - excess

    def subsidy_max(self, numerator: int) -> int:
        """R1: the most of a call that subsidy pays, µ, rounded down; `numerator` ÷ PER_TOKENS is its model cost."""
        bound = self.subsidy_markup_bps
        markup = numerator * self.rate_bps + self.fee_micro * PER_TOKENS * BPS
        carried = sum(one.carried_micro * one.rate_bps for one in self.markups) * PER_TOKENS
        least = sum(one.carried_micro * min(one.rate_bps, bound) for one in self.markups) * PER_TOKENS
        return (numerator * BPS + min(markup + carried, numerator * bound + least)) // (BPS * PER_TOKENS)


class Through(msgspec.Struct, frozen=True):
    """What evidence says of the way: model cost at list, markups, and what of the price was not subsidy, µ.

    `fund_micro`: the referrer's part that the platform's margin did not cover; the ecosystem fund owes it (B2).
    """

    model_micro: int
    markups: tuple[Markup, ...]
    royalties: tuple[Royalty, ...]
    subsidy_max_micro: int
    paid_micro: int
    fund_micro: int = 0


class Parted(msgspec.Struct, frozen=True):
    """A charge and how it came about."""

    charged: Charged
    through: Through


def part(
    prices: Prices, buckets: Buckets, parties: Sequence[Party], commission: Commission, platform: UUID,
    receipt_id: UUID, burning: Burning, divide: Divide,
) -> Parted:  # fmt: skip
    """Price a call and split it: engine first, then makers, IP, the referrer; the platform keeps the rest.

    The parts sum to the total exactly. Nobody gets more than is left, so the platform is never negative.
    """
    numerator = prices.numerator(buckets)
    model = numerator * (SCALE // PER_TOKENS)
    fees = commission.fee_micro * SCALE
    carried = sum(one.carried_micro * one.rate_bps for one in commission.markups) * (SCALE // BPS)
    price = model + model * commission.rate_bps // BPS + fees + carried
    total = round_half_even(price, SCALE)
    subsidy_max = commission.subsidy_max(numerator) if commission.bounded else total
    burned = burning(total, subsidy_max)
    paid = total - burned.get(Provenance.SUBSIDY, 0)
    dues = _dues(numerator, buckets, parties, commission, price, paid)
    left, uncovered, fund = total * SCALE, 0, 0
    scaled: list[int] = []
    for role, due in dues:
        granted = min(due, left)
        left -= granted
        scaled.append(granted)
        if role == "referrer":
            fund = due - granted
        elif role == "upstream_cost":
            uncovered += due - granted
    amounts = split_scaled([*scaled, left], SCALE, receipt_id)
    shares = _shares(amounts, parties, commission, divide)
    kept = total - sum(share.amount_micro for share in shares)
    if kept:
        shares.append(Share("platform", platform, kept))
    through = Through(
        round_half_even(numerator, PER_TOKENS),
        commission.markups,
        commission.royalties,
        subsidy_max,
        paid,
        fund // SCALE,
    )
    return Parted(Charged(total, tuple(shares), round_half_even(uncovered, SCALE) if uncovered else 0), through)


def _dues(
    numerator: int, buckets: Buckets, parties: Sequence[Party], commission: Commission, price: int, paid: int
) -> list[tuple[str, int]]:
    """(role, exact due over SCALE) in the order in which they are served."""
    unit = SCALE // PER_TOKENS
    dues: list[tuple[str, int]] = []
    for party in parties:
        if party.cost is not None:
            dues.append((party.role, party.cost.numerator(buckets) * unit))
        else:
            dues.append((party.role, numerator * party.share_bps * (unit // BPS)))
    for markup in commission.markups:
        if sum(maker.weight for maker in markup.makers) <= 0:
            dues.append((markup.role, 0))
            continue
        added = numerator * markup.rate_bps * (unit // BPS) + markup.fee_micro * SCALE
        added += markup.carried_micro * markup.rate_bps * (SCALE // BPS)
        dues.append((markup.role, added * commission.developer_bps // BPS))
    dues += [("ip_holder", price * royalty.rate_ppm // PPM) for royalty in commission.royalties]
    if commission.referral is not None:
        dues.append(("referrer", paid * commission.referral.rate_bps * (SCALE // BPS)))
    return dues


def _shares(amounts: Sequence[int], parties: Sequence[Party], commission: Commission, divide: Divide) -> list[Share]:
    """Integers to accounts; a markup with several makers is divided by their weights. What related ones may not earn
    is left out, and so stays with the platform."""
    queue = iter(amounts)
    shares = [Share(party.role, party.account, next(queue)) for party in parties]
    for markup in commission.markups:
        amount, makers = next(queue), markup.makers
        parts = [amount] if len(makers) == 1 else divide(amount, [maker.weight for maker in makers]) if amount else []
        shares += [
            Share(markup.role, maker.account, got, markup.resource)
            for maker, got in zip(makers, parts, strict=False)
            if not maker.related
        ]
    for royalty in commission.royalties:
        amount, holders = next(queue), royalty.holders
        if royalty.account is not None:
            shares.append(Share("ip_holder", royalty.account, amount, royalty.resource))
            continue
        parts = divide(amount, [holder.weight for holder in holders]) if amount else []
        shares += [
            Share("ip_holder", holder.account, got, royalty.right)
            for holder, got in zip(holders, parts, strict=False)
            if not holder.related
        ]
    if commission.referral is not None:
        shares.append(Share("referrer", commission.referral.account, next(queue)))
    return [share for share in shares if share.amount_micro]
