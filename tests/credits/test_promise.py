"""Whatever payers, providers, crashes and clocks do: the benefit never passes the cap and books equal decisions."""

from __future__ import annotations

from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.credits.api import PurchaseState
from shanhe.kernel.errors import ShanheError, Unavailable
from shanhe.payments.api import Faults

from .conftest import CAP_FEN

VALUES = st.one_of(st.integers(1, 1_000), st.integers(CAP_FEN, CAP_FEN * 4))
STEPS = st.one_of(
    st.tuples(st.just("order"), VALUES),
    st.tuples(st.sampled_from(["pay", "pay", "fail", "cancel", "again"]), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.sampled_from(["tick", "crash", "restart"]), st.just(0)),
)


class Story:
    """One beneficiary's purchases, with a ledger that may be away."""

    def __init__(self, city, faults):
        self.city = city
        city.org = uuid4()
        city.behave(faults)
        self.faults = faults
        self.orders = []
        self.crashing = False
        self.post = type(city.ledger).post.__get__(city.ledger)

        async def post(posting):
            if self.crashing:
                self.crashing = False
                raise Unavailable("ledger_unavailable", "gone")
            return await self.post(posting)

        city.ledger.post = post

    async def step(self, name, value):
        city = self.city
        if name == "order":
            self.orders.append(await city.order(value, f"p{len(self.orders)}"))
        elif name == "wait":
            city.clock.advance(minutes=value)
        elif name == "tick":
            await city.tick()
        elif name == "crash":
            self.crashing = True
        elif name == "restart":
            city.behave(self.faults)
        elif self.orders:
            await self.touch(name, self.orders[value % len(self.orders)])

    async def touch(self, name, order):
        city = self.city
        try:
            if name == "cancel":
                await city.credits.cancel(city.org, order.id)
            elif name == "again":
                await city.order(order.priced.value_fen, order.client_ref)
            else:
                await getattr(city.sandbox, name)(order.redirect_url.rsplit("/", 1)[-1])
                await city.deliver()
        except ShanheError as error:
            if error.code not in {"order_state", "purchase_closed"}:
                raise

    async def check(self):
        city = self.city
        purchases = await city.credits.purchases(city.org)
        posted = [purchase for purchase in purchases if purchase.state is PurchaseState.POSTED]
        still_open = [purchase for purchase in purchases if purchase.state is PurchaseState.OPEN]
        reserved, given_fen = await city.benefit()
        assert reserved + given_fen <= CAP_FEN
        assert reserved == sum(purchase.priced.benefit_fen for purchase in still_open)
        assert given_fen == sum(purchase.priced.benefit_fen for purchase in posted)
        return posted


class TestPromise:
    @given(steps=st.lists(STEPS, max_size=14), copies=st.integers(1, 3), reorder=st.booleans())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    async def test_is_kept_through_anything(self, city, steps, copies, reorder):
        story = Story(city, Faults(copies=copies, reorder=reorder))
        for name, value in steps:
            await story.step(name, value)
            await story.check()
        story.crashing = False
        for _ in range(3):
            city.clock.advance(minutes=31)
            await city.tick()
        posted = await story.check()
        assert await city.benefit() == (0, sum(purchase.priced.benefit_fen for purchase in posted))
        wallet = await city.credits.wallet(city.org)
        assert wallet.balance_micro == sum(purchase.priced.quantity_micro for purchase in posted)
        subsidy_micro = wallet.by_provenance.get("subsidy", 0)
        assert subsidy_micro == sum(purchase.priced.subsidy_micro for purchase in posted)
        assert (await city.ledger.verify()).clean
