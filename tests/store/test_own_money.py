"""What makes a payer real for a ranking's reward: money of its own, and nobody's relative (P7_rank_reward, R0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shanhe.kernel.ids import new_id
from shanhe.store.ranks import Rank
from stage.market import Market, Party

from .ranked import After, UsedNow, month_of_its_own
from .test_standing import call

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = {"text": "Write a polite letter about {subject}."}
FEE_MICRO = 50_000_000
ENOUGH = 5
"""Payers that the rule asks for."""


async def ranked(market: Market, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[Rank, int]:
    """A month fixed and paid: where the listing stands in it, and what the rule gives for that."""
    services, month = market.services, await month_of_its_own(market)
    await services.programmes.budgets.fund("rank_credit", 10**12, reason="t", actor="t", funding_id=new_id())
    monkeypatch.setattr(services.ranks, "_clock", After(services.clock, month))
    monkeypatch.setattr(services.ranks, "_shop", UsedNow(services.store))
    await services.ranks.tick()
    listing = await services.store.listed(name)
    found = next(one for one in await services.ranks.of(month) if one.listing == listing.id)
    return found, services.ranks.due_micro(found)


async def paid_by(market: Market, payers: Sequence[Party], name: str) -> None:
    for payer in payers:
        await call(market, payer, name)


class TestPayer:
    async def test_counts_with_money_of_its_own_and_the_reward_is_a_part_of_it(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        maker = await market.party("rewarded")
        await market.listed(maker.org, "data/bought", CONTENT, fee_micro=FEE_MICRO)
        payers = [await market.party(f"buyer {n}") for n in range(ENOUGH)]
        await paid_by(market, payers, "data/bought")
        before = await market.wallet(maker.org)
        found, due = await ranked(market, monkeypatch, "data/bought")
        assert found.payers == ENOUGH
        assert found.own_micro >= ENOUGH * FEE_MICRO
        assert 0 < due < found.own_micro
        assert await market.wallet(maker.org) - before == due

    async def test_fed_with_grants_counts_for_nothing(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        maker = await market.party("puppeteer")
        await market.listed(maker.org, "prompt/pushed", CONTENT, markup_bps=2_000)
        puppets = [await market.party(f"puppet {n}", subsidy=10**9) for n in range(ENOUGH)]
        await paid_by(market, puppets, "prompt/pushed")
        found, due = await ranked(market, monkeypatch, "prompt/pushed")
        assert (await market.services.store.card("prompt/pushed")).payers == ENOUGH  # they did pay, of what was granted
        assert (found.payers, found.own_micro, due) == (0, 0, 0)

    async def test_is_one_with_its_relatives(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        maker = await market.party("family maker")
        await market.listed(maker.org, "model/family", CONTENT, fee_micro=FEE_MICRO)
        payers = [await market.party(f"family {n}") for n in range(ENOUGH)]
        await paid_by(market, payers, "model/family")
        family = {payer.org for payer in payers}

        async def related(one: Any, other: Any) -> bool:
            return one in family and other in family

        monkeypatch.setattr(market.services.ranks, "_related", related)
        found, due = await ranked(market, monkeypatch, "model/family")
        assert (found.payers, due) == (1, 0)
        assert found.own_micro >= ENOUGH * FEE_MICRO

    async def test_is_not_the_maker_itself_behind_a_strangers_share(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        maker, stranger = await market.party("fronted"), await market.party("front")
        shares = ((maker.org, 999_999), (stranger.org, 1))
        await market.listed(maker.org, "data/fronted", CONTENT, fee_micro=FEE_MICRO, makers=shares)
        payers = [await market.party(f"fronting {n}") for n in range(ENOUGH - 1)]
        await paid_by(market, [maker, *payers], "data/fronted")
        found, due = await ranked(market, monkeypatch, "data/fronted")
        assert (await market.services.store.card("data/fronted")).payers == ENOUGH
        assert (found.payers, due) == (ENOUGH - 1, 0)
