"""Who is paid when somebody calls through listings, as the terms are published and the rules bound them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.charges import PARTIES_MAX, RESOURCES_MAX, ChargeBook, ResourceTerms
from shanhe.gateway.errors import CallError
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Ledger
from shanhe.rulebook.api import Rulebook

WHOLE = 1_000_000
RULEBOOK = Rulebook.load()


@dataclass
class Fair:
    """Listings, who is related, and who brought whom."""

    db: Database
    clock: FixedClock
    ledger: Ledger
    kin: set[frozenset[UUID]] = field(default_factory=set)
    brought: dict[UUID, tuple[UUID, date]] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.charges = ChargeBook(self.db, self.clock, self.ledger, RULEBOOK, self.related, self.referrer)
        self.payer = new_id()

    async def related(self, one: UUID, other: UUID) -> bool:
        self.asked += 1
        return frozenset({one, other}) in self.kin

    async def referrer(self, org: UUID) -> tuple[UUID, date] | None:
        return self.brought.get(org)

    async def income(self, owner: UUID) -> UUID:
        return (await self.ledger.ensure_account(owner, Asset.CREDIT, "income")).id

    async def offer(self, name: str, *makers: UUID, **more: Any) -> None:
        shares = [WHOLE // len(makers)] * len(makers)
        shares[0] += WHOLE - sum(shares)
        terms = {"role": "mcp_developer", "markup_bps": 500, "fee_micro": 70} | more
        await self.charges.publish(
            ResourceTerms(name=name, makers=tuple(zip(makers, shares, strict=True)), **terms), actor="test"
        )

    async def grant(self, right: str, rate_ppm: int, *holders: UUID) -> None:
        shares = [(one, WHOLE // len(holders)) for one in holders]
        async with self.db.transaction() as conn:
            await self.charges.grant(right, rate_ppm, shares, actor="test", conn=conn)

    async def end(self, right: str) -> None:
        async with self.db.transaction() as conn:
            await self.charges.end(right, actor="test", conn=conn)

    async def close(self, name: str) -> None:
        async with self.db.transaction() as conn:
            await self.charges.close(name, actor="test", conn=conn)


@pytest.fixture
async def fair(database: Database, clock: FixedClock) -> AsyncIterator[Fair]:
    ledger = Ledger(database, clock, worker="test", workers=1)
    yield Fair(database, clock, ledger)
    await ledger.stop()


def number(rule: str, name: str, clock: FixedClock) -> int:
    return int(RULEBOOK.parameter(rule, name, clock.today()))


class TestMarkup:
    async def test_is_due_unless_all_of_it_is_the_payers_own_or_their_relatives(self, fair: Fair) -> None:
        kin, stranger = new_id(), new_id()
        fair.kin.add(frozenset({fair.payer, kin}))
        await fair.offer("mcp/own", fair.payer, kin)
        await fair.offer("mcp/shared", kin, stranger)
        (markup,) = (await fair.charges.commission(fair.payer, ["mcp/own", "mcp/shared"])).markups
        assert (markup.resource, markup.rate_bps, markup.fee_micro) == ("mcp/shared", 500, 70)
        assert [(one.account, one.related) for one in markup.makers] == [
            (await fair.income(kin), True), (await fair.income(stranger), False),
        ]  # fmt: skip

    async def test_is_at_least_what_the_rule_says(self, fair: Fair) -> None:
        await fair.offer("mcp/cheap", new_id(), markup_bps=0)
        (markup,) = (await fair.charges.commission(fair.payer, ["mcp/cheap"])).markups
        assert markup.rate_bps == number("P6", "lowest_markup", fair.clock) > 0

    async def test_carries_what_earlier_calls_cost_where_that_is_due(self, fair: Fair) -> None:
        for name in ("mcp/one", "mcp/other"):
            await fair.offer(name, new_id())
        commission = await fair.charges.commission(fair.payer, ["mcp/one", "mcp/other"], carried={"mcp/one": 9})
        assert [one.carried_micro for one in commission.markups] == [9, 0]
        commission = await fair.charges.commission(fair.payer, ["mcp/one", "mcp/other"], fees={"mcp/other"})
        assert [one.fee_micro for one in commission.markups] == [0, 70]

    async def test_is_weighed_by_the_answer_where_it_weighs_each_maker_and_else_as_recorded(self, fair: Fair) -> None:
        await fair.offer("mcp/two", new_id(), new_id())
        for given, weights in (([3, 1], [3, 1]), ([3], [WHOLE // 2] * 2), ([], [WHOLE // 2] * 2)):
            commission = await fair.charges.commission(fair.payer, ["mcp/two"], {"mcp/two": given})
            assert [one.weight for one in commission.markups[0].makers] == weights


class TestRight:
    @pytest.mark.parametrize(("asked", "paid"), [(0, "lowest"), (WHOLE, "highest")])
    async def test_is_paid_between_the_bounds_of_its_rule(self, fair: Fair, asked: int, paid: str) -> None:
        await fair.grant("ip/000001", asked, new_id())
        await fair.offer("mcp/tool", new_id(), rights=("ip/000001",), holders=((new_id(), asked),))
        commission = await fair.charges.commission(fair.payer, ["mcp/tool"])
        assert [one.rate_ppm for one in commission.royalties] == [number("T16", paid, fair.clock)] * 2

    async def test_pays_no_relative_and_is_not_due_where_all_holders_are(self, fair: Fair) -> None:
        kin, stranger = new_id(), new_id()
        fair.kin.add(frozenset({fair.payer, kin}))
        await fair.grant("ip/000001", 9_000, kin)
        await fair.grant("ip/000002", 9_000, kin, stranger)
        holders = ((kin, 9_000), (stranger, 9_000))
        await fair.offer("mcp/tool", new_id(), rights=("ip/000001", "ip/000002"), holders=holders)
        named, registered = (await fair.charges.commission(fair.payer, ["mcp/tool"])).royalties
        assert named.account == await fair.income(stranger)
        assert registered.right == "ip/000002"
        assert [one.related for one in registered.holders] == [True, False]

    async def test_is_due_once_however_many_listings_of_a_call_use_it(self, fair: Fair) -> None:
        await fair.grant("ip/000001", 9_000, new_id(), new_id())
        for name in ("mcp/one", "mcp/other"):
            await fair.offer(name, new_id(), rights=("ip/000001",))
        (royalty,) = (await fair.charges.commission(fair.payer, ["mcp/one", "mcp/other"])).royalties
        assert [one.weight for one in royalty.holders] == [WHOLE // 2] * 2

    async def test_that_ended_is_not_due_and_can_be_used_no_more(self, fair: Fair) -> None:
        for right in ("ip/000001", "ip/000002"):
            await fair.grant(right, 9_000, new_id())
        await fair.offer("mcp/tool", new_id(), rights=("ip/000001", "ip/000002"))
        await fair.end("ip/000001")
        commission = await fair.charges.commission(fair.payer, ["mcp/tool"])
        assert [one.right for one in commission.royalties] == ["ip/000002"]
        assert await fair.charges.missing(["ip/000001", "ip/000002", "ip/000003"]) == ["ip/000001", "ip/000003"]

    async def test_names_what_is_on_sale_and_uses_it(self, fair: Fair) -> None:
        for right in ("ip/000001", "ip/000002"):
            await fair.grant(right, 9_000, new_id())
        await fair.offer("mcp/on-sale", new_id(), rights=("ip/000001",))
        await fair.offer("mcp/withdrawn", new_id(), rights=("ip/000001",))
        await fair.offer("mcp/another", new_id(), rights=("ip/000002",))
        await fair.close("mcp/withdrawn")
        assert await fair.charges.users("ip/000001") == ["mcp/on-sale"]


class TestTerms:
    async def test_take_the_place_of_all_that_was_published_before(self, fair: Fair) -> None:
        await fair.grant("ip/000001", 9_000, new_id())
        await fair.offer("mcp/tool", new_id(), new_id(), rights=("ip/000001",), holders=((new_id(), 9_000),))
        maker = new_id()
        await fair.offer("mcp/tool", maker)
        commission = await fair.charges.commission(fair.payer, ["mcp/tool"])
        assert [one.account for one in commission.markups[0].makers] == [await fair.income(maker)]
        assert commission.royalties == ()

    async def test_of_what_was_withdrawn_stand_for_a_run_that_had_begun(self, fair: Fair) -> None:
        await fair.offer("mcp/tool", new_id())
        before = fair.clock.now()
        fair.clock.advance(seconds=1)
        await fair.close("mcp/tool")
        now = fair.clock.now()
        for begun in (before, now):
            assert (await fair.charges.commission(fair.payer, ["mcp/tool"], since=begun)).fee_micro == 70
        for since in (None, now + timedelta(seconds=1)):
            with pytest.raises(CallError) as refused:
                await fair.charges.commission(fair.payer, ["mcp/tool"], since=since)
            assert (refused.value.status, refused.value.code) == (404, "listing_withdrawn")

    async def test_are_whole_and_have_a_bounded_number_of_parties(self, fair: Fair) -> None:
        many = [new_id() for _ in range(PARTIES_MAX + 1)]
        none = ResourceTerms(name="mcp/tool", role="maker", markup_bps=0, makers=((new_id(), WHOLE - 1),))
        with pytest.raises(Invalid, match="must sum to"):
            await fair.charges.publish(none, actor="test")
        with pytest.raises(Invalid, match="must sum to"):
            await fair.offer("mcp/tool", *many)
        for more in ({"holders": tuple((one, 1) for one in many)}, {"rights": tuple(map(str, many))}):
            with pytest.raises(Invalid, match="rights a listing"):
                await fair.offer("mcp/tool", new_id(), **more)
        for shares in ([(one, WHOLE // 40) for one in many], [(new_id(), WHOLE - 1)]):
            with pytest.raises(Invalid, match="must sum to"):
                await fair.charges.grant("ip/000001", 0, shares, actor="test", conn=None)
        holders = tuple((one, 1) for one in many[1:])
        await fair.offer("mcp/tool", *many[1:], holders=holders)
        assert len((await fair.charges.commission(fair.payer, ["mcp/tool"])).royalties) == PARTIES_MAX

    async def test_of_more_listings_than_a_call_comes_through_are_not_looked_for(self, fair: Fair) -> None:
        names = [f"mcp/no-{n}" for n in range(RESOURCES_MAX + 1)]
        with pytest.raises(CallError) as refused:
            await fair.charges.commission(fair.payer, names)
        assert refused.value.status == 400


class TestCommission:
    async def test_names_the_rules_that_it_follows(self, fair: Fair) -> None:
        await fair.grant("ip/000001", 9_000, new_id())
        await fair.offer("mcp/plain", new_id())
        await fair.offer("mcp/shared", new_id(), new_id())
        await fair.offer("mcp/right", new_id(), rights=("ip/000001",))
        assert set((await fair.charges.commission(fair.payer, [])).rules) == set()
        assert set((await fair.charges.commission(fair.payer, ["mcp/plain"])).rules) == {"R0", "R1", "P6"}
        assert set((await fair.charges.commission(fair.payer, ["mcp/shared"])).rules) == {"R0", "R1", "P6", "T17"}
        assert set((await fair.charges.commission(fair.payer, ["mcp/right"])).rules) == {"R0", "R1", "P6", "T16"}
        fair.brought[fair.payer] = new_id(), fair.clock.today()
        assert set((await fair.charges.commission(fair.payer, [])).rules) == {"B2"}

    async def test_pays_whoever_brought_the_payer_for_as_long_as_the_rule_says(self, fair: Fair) -> None:
        party = new_id()
        for signed_up_on, account in (
            (fair.clock.today(), await fair.income(party)), (fair.clock.today() - timedelta(days=1_000), None)
        ):  # fmt: skip
            fair.brought[fair.payer] = party, signed_up_on
            found = (await fair.charges.commission(fair.payer, [])).referral
            assert (found and found.account) == account


class TestFee:
    async def test_is_remembered_until_its_terms_or_the_day_change(self, fair: Fair) -> None:
        await fair.offer("mcp/tool", new_id())
        found = await fair.charges.fee(fair.payer, "mcp/tool")
        assert await fair.charges.fee(fair.payer, "mcp/tool") is found is fair.charges.fee_known(fair.payer, "mcp/tool")
        assert fair.charges.fee_known(new_id(), "mcp/tool") is None
        fair.clock.advance(days=1)
        assert fair.charges.fee_known(fair.payer, "mcp/tool") is None
        await fair.charges.fee(fair.payer, "mcp/tool")
        await fair.offer("mcp/tool", new_id(), fee_micro=71)
        assert fair.charges.fee_known(fair.payer, "mcp/tool") is None
        assert (await fair.charges.fee(fair.payer, "mcp/tool")).fee_micro == 71

    async def test_whose_terms_changed_while_they_were_looked_up_is_not_remembered(
        self, fair: Fair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fair.offer("mcp/tool", new_id())

        async def referrer(_: UUID) -> None:
            await fair.offer("mcp/tool", new_id(), fee_micro=71)

        monkeypatch.setattr(fair.charges, "_referrer", referrer)
        assert (await fair.charges.fee(fair.payer, "mcp/tool")).fee_micro == 70
        assert fair.charges.fee_known(fair.payer, "mcp/tool") is None
