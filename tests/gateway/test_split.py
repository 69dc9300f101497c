"""Random calls through an agent, its tools and an alliance of clones, with rights and a referrer, on a real ledger."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.charges import ChargeBook, ResourceTerms
from shanhe.gateway.commission import Commission, Parted, part
from shanhe.gateway.meter import Buckets
from shanhe.gateway.model import Admission, with_commission
from shanhe.gateway.tariff import Party, Prices, Share
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Account,
    Asset,
    Charge,
    Ledger,
    Leg,
    NewLot,
    Posting,
    Provenance,
    Reservation,
    Transfer,
)
from shanhe.rulebook.api import Rulebook

from .conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEED = 20261126
DEFAULT, MANY = 300, 10_000
AT_ONCE = 50
DAY = date(2026, 11, 20)
CREDIT = 1_000_000
WHOLE = 1_000_000
PARTIES = 12
PAYERS = 6
ROUNDINGS = 3
"""Of a call's markup, and of its total twice."""


@dataclass
class Walk:
    """A city's worth of makers and payers, and what was booked between them."""

    ledger: Ledger
    charges: ChargeBook
    dice: random.Random
    platform: Account
    cost: Account
    owners: list[UUID] = field(default_factory=list)
    payers: list[UUID] = field(default_factory=list)
    wallets: dict[UUID, Account] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    booked: dict[UUID, Parted] = field(default_factory=dict)
    referrers: dict[UUID, UUID] = field(default_factory=dict)

    async def referrer(self, org: UUID) -> tuple[UUID, date] | None:
        """One payer was brought lately, one too long ago to pay anybody."""
        if org not in self.referrers:
            return None
        return self.referrers[org], date(2024, 11, 20) if org == self.payers[1] else date(2026, 1, 31)

    async def prepare(self) -> None:
        self.owners = [new_id() for _ in range(PARTIES)]
        self.payers = [new_id() for _ in range(PAYERS - 1)] + [self.owners[0]]  # one payer is a maker, too
        for payer in self.payers:
            self.wallets[payer] = await self.ledger.ensure_account(payer, Asset.CREDIT, "wallet")
        self.referrers = {
            self.payers[0]: self.owners[1],
            self.payers[1]: self.owners[1],
            self.payers[5]: self.owners[2],
        }
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        for payer in self.payers:
            for provenance in (Provenance.SUBSIDY, Provenance.PURCHASED, Provenance.REWARD):
                amount = self.dice.choice([0, 5, 500]) * CREDIT or self.dice.randrange(1, 99)
                if provenance is Provenance.PURCHASED:
                    amount = 100_000_000 * CREDIT
                wallet = self.wallets[payer].id
                lot = NewLot(account=wallet, provenance=provenance, amount=amount)
                transfer = Transfer(new_id(), issuance.id, wallet, amount)
                await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(lot,)))
        for kind, role in (("agent", "agent_developer"), ("mcp", "mcp_developer"), ("alliance", "clone_owner")):
            self.names[kind] = [f"{kind}/no-{n}-{self.payers[0].hex[:8]}" for n in range(4)]
            for name in self.names[kind]:
                await self.charges.publish(self.terms(name, role), actor="test")

    def terms(self, name: str, role: str) -> ResourceTerms:
        dice = self.dice
        makers = dice.sample(self.owners, dice.choice([1, 1, 2, 5]) if role != "clone_owner" else 4)
        cuts = sorted(dice.sample(range(1, WHOLE), len(makers) - 1))
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, WHOLE], strict=True)]
        holders = [(owner, dice.randrange(0, 200_000)) for owner in dice.sample(self.owners, dice.choice([0, 0, 1, 3]))]
        return ResourceTerms(
            name=name, role=role, markup_bps=dice.choice([0, 1, 100, 1999, 2000, 2001, 9_999, 1_000_000]),
            fee_micro=dice.choice([0, 0, 1, 777_777]), makers=tuple(zip(makers, shares, strict=True)),
            holders=tuple(holders),
        )  # fmt: skip

    def engine(self) -> tuple[Party, ...]:
        """A contributed node, an upstream that may cost more than the price, or the city's own."""
        node = Party("node_contributor", self.node.id, share_bps=7_000)
        cost = Prices(*(self.dice.choice([0, 333, 870_000, 3_000_000]) for _ in range(5)), version="cost")
        return self.dice.choice([(), (node,), (Party("upstream_cost", self.cost.id, cost=cost),)])

    node: Account = None  # type: ignore[assignment]

    async def call(self) -> None:
        """One call: hold the most it may cost, use some of it, split, settle."""
        dice = self.dice
        payer = dice.choice(self.payers)
        chosen = [
            dice.choice(self.names[kind]) for kind in dice.sample(["agent", "mcp", "alliance"], dice.randrange(4))
        ]
        weights = {name: [dice.choice([0, 0, 1, 417]) for _ in range(4)] for name in chosen if "alliance" in name}
        prices = Prices(*(dice.choice([0, 1, 999_999, 2_000_000, 40_000_000]) for _ in range(5)), version="p")
        most_in, most_out = dice.randrange(4_000), dice.randrange(2_000)
        buckets, engine, receipt = self.buckets(most_in, most_out), self.engine(), new_id()
        carried = {name: dice.choice([0, 1, 777_777]) for name in chosen}
        commission = await self.charges.commission(payer, chosen, weights, carried=carried)
        plain = Admission("syn", most_in, most_out, most_out, prices.most(most_in, most_out), prices)
        admission = with_commission(plain, commission)
        reservation = await self.ledger.admit(
            self.wallets[payer].id, admission.held_micro, receipt_id=receipt,
            subsidy_max_micro=admission.subsidy_max_micro,
        )  # fmt: skip
        parted = part(
            prices, buckets, engine, commission, self.platform.id, receipt, reservation.burning, self.charges.divide
        )
        check_split(parted, prices, buckets, engine, commission, reservation)
        check_held(plain, admission, parted, commission)
        legs = tuple(Leg(share.account, share.amount_micro) for share in parted.charged.shares)
        bound = parted.through.subsidy_max_micro if commission.bounded else None
        await self.ledger.settle(reservation, Charge(parted.charged.total_micro, legs, subsidy_max_micro=bound))
        self.booked[receipt] = parted

    def buckets(self, most_in: int, most_out: int) -> Buckets:
        dice = self.dice
        cached, reasoning = dice.randrange(most_in + 1), dice.randrange(most_out + 1)
        return Buckets(
            dice.randrange(most_in - cached + 1), cached, dice.randrange(most_out - reasoning + 1), reasoning
        )


def check_split(
    parted: Parted, prices: Prices, buckets: Buckets, engine: tuple[Party, ...], commission: Commission,
    reservation: Reservation,
) -> None:  # fmt: skip
    """The split against the rules, worked out again in fractions."""
    shares, total = parted.charged.shares, parted.charged.total_micro
    assert sum(share.amount_micro for share in shares) == total
    assert min((share.amount_micro for share in shares), default=1) > 0
    cost = Fraction(prices.numerator(buckets), 1_000_000)
    carried = sum(Fraction(markup.carried_micro * markup.rate_bps, 10_000) for markup in commission.markups)
    price = cost * (1 + Fraction(commission.rate_bps, 10_000)) + commission.fee_micro + carried
    assert abs(price - total) <= Fraction(1, 2)
    got: Counter[tuple[str, str]] = Counter()
    each: Counter[tuple[UUID, str]] = Counter()
    for share in shares:
        got[share.role, share.resource] += share.amount_micro
        each[share.account, share.resource] += share.amount_micro * (share.role != "ip_holder")
    assert parted.through.model_micro == round(cost)
    for party in engine:
        if party.cost is not None:  # what a call's price does not cover is the city's loss, and said
            due = Fraction(party.cost.numerator(buckets), 1_000_000)
            assert abs(got[party.role, ""] + parted.charged.uncovered_micro - due) < ROUNDINGS - 1
    if commission.referral is not None:  # what is not left of a call for the referrer, the ecosystem fund owes (B2)
        due = Fraction(parted.through.paid_micro * commission.referral.rate_bps, 10_000)
        assert abs(got["referrer", ""] + parted.through.fund_micro - due) < ROUNDINGS - 1
    covered = sum((party.cost is None or party.cost.numerator(buckets) <= cost * 1_000_000) for party in engine)
    if (
        covered == len(engine)
        and parted.through.fund_micro == 0
        and sum(r.rate_ppm for r in commission.royalties) < 1e5
    ):
        for markup in commission.markups:
            if any(maker.related for maker in markup.makers) or not sum(maker.weight for maker in markup.makers):
                continue
            due = ((cost + markup.carried_micro) * markup.rate_bps / 10_000 + markup.fee_micro) * Fraction(8, 10)
            assert abs(got[markup.role, markup.resource] - due) < 1
            whole = sum(maker.weight for maker in markup.makers)
            for maker in markup.makers:
                assert abs(each[maker.account, markup.resource] - due * maker.weight / whole) < ROUNDINGS - 1
        if commission.referral is not None:
            assert abs(got["referrer", ""] - Fraction(parted.through.paid_micro * 3, 100)) < 1
    burned = reservation.burning(total, parted.through.subsidy_max_micro)
    least = sum(Fraction(one.carried_micro * min(one.rate_bps, 2_000), 10_000) for one in commission.markups)
    markup_part = min(price - cost, cost * Fraction(2, 10) + least)
    assert parted.through.subsidy_max_micro == (int(cost + markup_part) if commission.bounded else total)
    assert burned.get(Provenance.SUBSIDY, 0) <= cost + markup_part or not commission.bounded
    assert parted.through.paid_micro == total - burned.get(Provenance.SUBSIDY, 0)


def check_held(plain: Admission, admission: Admission, parted: Parted, commission: Commission) -> None:
    """What is set aside is the largest price and, of it, what subsidy may not pay; not more than roundings above."""
    most, subsidy = admission.held_micro, admission.subsidy_max_micro
    total = parted.charged.total_micro
    carried = sum(Fraction(one.carried_micro * one.rate_bps, 10_000) for one in commission.markups)
    exact = plain.held_micro * (1 + Fraction(commission.rate_bps, 10_000)) + commission.fee_micro + carried
    assert exact <= most < exact + ROUNDINGS + len(commission.markups)
    assert total <= most
    if subsidy is not None:
        assert most - subsidy >= total - parted.through.subsidy_max_micro
        assert subsidy >= plain.held_micro


async def walk(desk: Desk, number: int) -> Walk:
    ledger = desk.ledger
    platform = await ledger.system_account("revenue", Asset.CREDIT)
    cost = await ledger.system_account("cost", Asset.CREDIT, "split")
    city = Walk(ledger, desk.gateway.charges, random.Random(SEED), platform, cost)
    city.node = await ledger.ensure_account(new_id(), Asset.CREDIT, "income")
    before = desk.gateway.charges._referrer
    desk.gateway.charges._referrer = city.referrer
    try:
        await city.prepare()
        for _ in range(number // AT_ONCE):
            await asyncio.gather(*(city.call() for _ in range(AT_ONCE)))
    finally:
        desk.gateway.charges._referrer = before
    assert len(city.booked) == number
    return city


def by_account(parted: Any) -> Counter[UUID]:
    sums: Counter[UUID] = Counter()
    for one in parted:
        for share in one.charged.shares:
            sums[share.account] += share.amount_micro
    return sums


async def statement_sum(ledger: Ledger, account: UUID) -> int:
    return sum([line.amount async for line in ledger.stream_statement(account, DAY, DAY)])


async def prove(desk: Desk, number: int) -> None:
    city = await walk(desk, number)
    ledger = city.ledger
    sums = by_account(city.booked.values())
    incomes = {owner: (await ledger.ensure_account(owner, Asset.CREDIT, "income")).id for owner in city.owners}
    assert sum(sums[account] > 0 for account in incomes.values()) > PARTIES // 2  # the walk does pay people
    assert {share.role for one in city.booked.values() for share in one.charged.shares} >= {
        "agent_developer", "mcp_developer", "clone_owner", "ip_holder", "referrer", "node_contributor", "platform",
    }  # fmt: skip
    for account in [*incomes.values(), city.node.id]:
        assert await statement_sum(ledger, account) == sums[account] == (await ledger.balance(account)).balance
    for receipt, parted in city.booked.items():
        if parted.charged.total_micro:
            posting = await ledger.posting(receipt)
            moved = sorted((transfer.credit, transfer.amount) for transfer in posting.transfers)
            assert moved == sorted((share.account, share.amount_micro) for share in parted.charged.shares)
            await check_provenance(ledger, posting, city.wallets)
    assert (await ledger.verify()).clean
    await check_refunds(city, incomes)


async def check_provenance(ledger: Ledger, posting: Any, wallets: dict[UUID, Account]) -> None:
    """R1: makers receive no more tradeable credits than were burned."""
    lots = await ledger.lots_by_id([delta.lot for delta in posting.lots])
    paid = {wallet.id for wallet in wallets.values()}
    tradeable: Counter[bool] = Counter()
    for delta in posting.lots:
        if lots[delta.lot].provenance is not Provenance.SUBSIDY:
            tradeable[lots[delta.lot].account in paid] += abs(delta.amount)
    assert tradeable[False] <= tradeable[True]


async def check_refunds(city: Walk, incomes: dict[UUID, UUID]) -> None:
    """Whatever was booked goes back: every income to nothing, every lot of every payer to what it was."""
    ledger = city.ledger
    for receipt, parted in city.booked.items():
        if parted.charged.total_micro:
            await ledger.reverse(receipt, actor="test", reason="refund")
    for account in [*incomes.values(), city.node.id]:
        assert (await ledger.balance(account)).balance == 0 == await statement_sum(ledger, account)
    for wallet in city.wallets.values():
        for lot in await ledger.lots(wallet.id):
            assert (lot.remaining, lot.held) == (lot.issued, 0)
    assert (await ledger.verify()).clean


class TestSplit:
    async def test_of_random_calls_is_exact_and_a_refund_reverses_all_of_it(self, desk: Desk) -> None:
        await prove(desk, DEFAULT)

    @pytest.mark.prove
    async def test_of_ten_thousand_random_calls_is_exact_and_a_refund_reverses_all_of_it(self, desk: Desk) -> None:
        await prove(desk, MANY)

    async def test_says_what_the_rules_say(self) -> None:
        """One maker, one right, one referrer: the rules' own examples, to the micro-credit below."""
        rulebook, shares = Rulebook.load(), one_of_each()
        on = date(2026, 3, 1)
        told = rulebook.evaluate("P6", {"model_cost_micro": CREDIT, "markup_bps": 2000}, on=on).outputs
        assert shares["agent_developer"] == told["developer_micro"] == 160_000
        told = rulebook.evaluate("T16", {"price_micro": 1_200_000, "rate": 10_000}, on=on).outputs
        assert shares["ip_holder"] == told["holder_micro"] == 12_000
        facts = {"paid_micro": 1_000_000, "signed_up_on": on, "paid_on": on}
        assert shares["referrer"] == rulebook.evaluate("B2", facts, on=on).outputs["creator_micro"] == 30_000
        assert shares["platform"] == 1_200_000 - 160_000 - 12_000 - 30_000


def one_of_each() -> dict[str, int]:
    """A call of one credit at 20 % markup, of which 0.2 credits are subsidy."""
    from shanhe.gateway.commission import Maker, Markup, Referral, Royalty

    account = [new_id() for _ in range(4)]
    commission = Commission(
        (Markup("agent_developer", "agent/a", 2000, 0, (Maker(account[0], WHOLE),)),),
        (Royalty("agent/a", account[1], 10_000),), Referral(account[2], 300), 8000, 2000, {},
    )  # fmt: skip
    prices = Prices(1_000_000, 0, 0, 0, 0, "p")

    def burning(total: int, most: int) -> dict[Provenance, int]:
        return {Provenance.SUBSIDY: 200_000, Provenance.PURCHASED: total - 200_000}

    parted = part(prices, Buckets(CREDIT), (), commission, account[3], new_id(), burning, lambda a, w: [a])
    return {share.role: share.amount_micro for share in parted.charged.shares if isinstance(share, Share)}
