"""Who uses a listing is told before it costs more, and pays what it cost until the notice is over (P6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from shanhe.gateway.api import CallError
from shanhe.kernel.clock import FixedClock
from shanhe.store.api import ListingState, Offer, Terms, VersionState, WrongState
from stage.market import MODEL, Market, Party

from .test_standing import call, told

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = {"text": "Write a polite letter about {subject}."}
AGENT = {"model": MODEL, "instructions": "Answer.", "budget_micro": 1_000_000, "steps_max": 2}
LATER_DAYS = 30
"""So that the rule's days count, whichever day the tests run on."""


@pytest_asyncio.fixture(loop_scope="module")
async def clock(market: Market, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FixedClock]:
    """The store's clock, at a day on which a notice is due, and moved by the test; what it leaves announced is begun
    after it."""
    store, fixed = market.services.store, FixedClock(market.services.clock.now() + timedelta(days=LATER_DAYS))
    monkeypatch.setattr(store, "_clock", fixed)
    yield fixed
    fixed.advance(days=days_of(market, fixed))
    await store.start_due()


def days_of(market: Market, clock: FixedClock) -> int:
    return int(market.services.rulebook.parameter("P6", "price_notice_days", clock.today()))


async def used(market: Market, slug: str, **terms: Any) -> tuple[Party, Party, str]:
    """A listing and somebody who paid for it: (maker, payer, name)."""
    maker, payer = await market.party(f"maker of {slug}"), await market.party(f"payer of {slug}")
    name = f"prompt/{slug}"
    await market.listed(maker.org, name, CONTENT, **terms)
    await call(market, payer, name)
    return maker, payer, name


async def offered(market: Market, name: str) -> tuple[int, int]:
    """(version, markup) that callers get."""
    offer: Offer = await market.services.store.offer(name)
    return offer.version.n, offer.version.terms.markup_bps


class TestNotice:
    async def test_keeps_the_price_until_its_days_are_over_and_then_raises_it(
        self, market: Market, clock: FixedClock
    ) -> None:
        store, (maker, payer, name) = market.services.store, await used(market, "patient")
        before = (await call(market, payer, name)).paid_micro
        await market.publish(maker.org, name, {"text": "Better"}, Terms(9_000))
        coming = await store.coming(name)
        assert coming is not None
        assert (coming.state, coming.starts_on) == (
            VersionState.ANNOUNCED, clock.today() + timedelta(days=days_of(market, clock)))  # fmt: skip
        assert await offered(market, name) == (1, 2_000)
        assert (await call(market, payer, name)).paid_micro == before
        assert (await told(market, payer.org))[0] == "store.dearer"
        clock.advance(days=days_of(market, clock) - 1)
        assert await store.start_due() == 0
        clock.advance(days=1)
        assert await store.start_due() == 1
        assert await offered(market, name) == (2, 9_000)
        assert (await call(market, payer, name)).paid_micro > before
        assert await store.start_due() == 0

    async def test_is_due_for_a_dearer_model_too_and_not_for_a_cheaper_way(
        self, market: Market, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        maker, payer, name = await used(market, "modelled")
        costs = {"small": (100, 200), "large": (100, 300)}
        monkeypatch.setattr(market.services.gateway, "list_prices", lambda model: costs.get(model, ()))
        await market.publish(maker.org, name, {"model": "small"}, Terms(2_000))
        assert await offered(market, name) == (2, 2_000)
        await market.publish(maker.org, name, {"model": "large"}, Terms(2_000))
        assert (await offered(market, name))[0] == 2
        await market.publish(maker.org, name, {"model": "small"}, Terms(1_000))  # takes the place of what was announced
        assert await offered(market, name) == (4, 1_000)
        assert await market.services.store.coming(name) is None
        assert (await told(market, payer.org))[0] == "store.stays"

    async def test_is_not_gone_around_by_withdrawing_first(self, market: Market, clock: FixedClock) -> None:
        store, (maker, payer, name) = market.services.store, await used(market, "around")
        await store.withdraw(name, owner=maker.org, actor="tests")
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        with pytest.raises(CallError, match="not offered"):
            await call(market, payer, name)
        clock.advance(days=days_of(market, clock))
        assert await store.start_due() == 1
        assert await offered(market, name) == (2, 9_000)

    async def test_waits_for_nobody_where_nobody_uses_it(self, market: Market, clock: FixedClock) -> None:
        maker = await market.party("unused maker")
        await market.listed(maker.org, "prompt/unused", CONTENT)
        await market.publish(maker.org, "prompt/unused", CONTENT, Terms(9_000))
        assert await offered(market, "prompt/unused") == (2, 9_000)

    async def test_ends_where_the_city_takes_the_listing_out(self, market: Market, clock: FixedClock) -> None:
        store, (maker, _, name) = market.services.store, await used(market, "taken-out")
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        await store.remove(name, reason="误导用户", actor="person:clerk", actor_org=None)
        clock.advance(days=days_of(market, clock))
        assert await store.start_due() == 0
        await store.restore(name, reason="已说明", actor="person:clerk", actor_org=None)
        assert await offered(market, name) == (1, 2_000)

    async def test_of_what_was_withdrawn_is_taken_back_by_its_maker(self, market: Market, clock: FixedClock) -> None:
        store, (maker, payer, name) = market.services.store, await used(market, "second-thought")
        await store.withdraw(name, owner=maker.org, actor="tests")
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        await store.withdraw(name, owner=maker.org, actor="tests")
        clock.advance(days=days_of(market, clock))
        assert await store.start_due() == 0
        assert (await store.listed(name)).state is ListingState.WITHDRAWN
        assert (await told(market, payer.org)).count("store.gone") == 2

    @pytest.mark.parametrize("before", ["withdraw", "remove"])
    async def test_of_what_is_not_sold_ends_where_the_city_takes_it_out(
        self, market: Market, clock: FixedClock, before: str
    ) -> None:
        store, (maker, _, name) = market.services.store, await used(market, f"stopped-{before}")
        clerk: dict[str, Any] = {"reason": "误导用户", "actor": "person:clerk", "actor_org": None}
        if before == "withdraw":
            await store.withdraw(name, owner=maker.org, actor="tests")
        else:
            await store.remove(name, **clerk)
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        assert await store.coming(name) is not None
        assert (await store.remove(name, **clerk)).state is ListingState.REMOVED
        clock.advance(days=days_of(market, clock))
        assert await store.start_due() == 0
        if before == "withdraw":
            with pytest.raises(WrongState):  # there is nothing to put back
                await store.restore(name, **clerk)
        else:
            await store.restore(name, **clerk)
            assert await offered(market, name) == (1, 2_000)

    @pytest.mark.parametrize("before", ["withdraw", "remove"])
    async def test_ends_with_its_maker(self, market: Market, clock: FixedClock, before: str) -> None:
        store, (maker, _, name) = market.services.store, await used(market, f"orphan-{before}")
        if before == "withdraw":
            await store.withdraw(name, owner=maker.org, actor="tests")
        else:
            await store.remove(name, reason="误导用户", actor="person:clerk", actor_org=None)
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        await store.forget(maker.org, actor="tests")
        clock.advance(days=days_of(market, clock))
        assert await store.start_due() == 0

    async def test_does_not_get_shorter(self, market: Market, clock: FixedClock) -> None:
        maker, _, name = await used(market, "shortened")
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute(
                "UPDATE store.version SET starts_on = starts_on - 1 WHERE state = 'announced' AND starts_on > $1",
                clock.today(),
            )

    async def test_is_shown_to_everybody(self, market: Market, clock: FixedClock) -> None:
        maker, payer, name = await used(market, "shown")
        await market.publish(maker.org, name, CONTENT, Terms(9_000))
        shown = (await payer.http.get(f"/api/store/listings/{name}")).json()
        assert (shown["markup_bps"], shown["coming"]["markup_bps"]) == (2_000, 9_000)
        assert shown["coming"]["starts_on"] == str(clock.today() + timedelta(days=days_of(market, clock)))
