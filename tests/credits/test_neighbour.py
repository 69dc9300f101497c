"""Two organisations do the same: neither changes what the other has, nor is told anything of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.credits.conftest import City

from shanhe.kernel.money import MICRO
from stage.rows import all_rows, changed

from .test_agreement import signed
from .test_auto_top_up import rule
from .test_code import issued
from .test_invoice import request
from .test_refund import away, refund


class Life:
    """Everything an organisation does with its credits, some of it left half done; `seen` is what it was told."""

    def __init__(self, city: City, codes: list[str]) -> None:
        self.city, self.codes = city, codes
        self.seen: list[Any] = []
        city.org = uuid4()

    async def buying(self) -> None:
        city, credits = self.city, self.city.credits
        await rule(city)
        assert await credits.auto.check(await credits.auto.get(city.org))
        await city.deliver()
        await city.buy(20_000, "kept")
        await city.order(5_000, "open")
        await credits.cancel(city.org, (await city.order(6_000, "given up")).id)
        await credits.quote(city.org, 10_000)
        await credits.codes.redeem(city.org, self.codes.pop(), actor="person:t")
        agreement = await signed(city)
        await credits.agreements.book(city.org, agreement.id, 1, reference=f"BANK-{city.org}", actor="person:o")
        await credits.agreements.pay(city.org, agreement.id, 2, method="sandbox", actor="person:t")
        found = await credits.agreements.list(city.org)
        self.seen += [[(part.number, part.state) for part in one.instalments] for one in found]
        self.seen += [await city.balance(), await city.benefit(), (await credits.auto.get(city.org)).epoch]
        self.seen += [(one.state, one.priced.paid_fen, one.source) for one in await credits.purchases(city.org)]
        self.seen += [len(await credits.codes.redeemed(city.org))]

    async def giving_back(self) -> None:
        city, refunds = self.city, self.city.credits.refunds
        await refund(city, await city.buy(10_000, "back"), "r1")
        await city.deliver()
        waits = await city.buy(10_000, "back later")
        real, city.payments.refund = city.payments.refund, away  # type: ignore[method-assign]
        await refund(city, waits, "r2")
        city.payments.refund = real  # type: ignore[method-assign]
        booked = await city.credits.top_up(city.org, 50 * MICRO, "by hand", "person:o", client_ref=f"b {city.org}")
        asked = await refund(city, booked, "r3")
        await refunds.pay_by_hand(asked.id, f"BANK-R-{city.org}", by="person:o")
        self.seen += [(one.state, one.refund_fen) for one in await refunds.list(city.org)]
        self.seen += [await city.balance(), await city.benefit()]

    async def asking(self) -> None:
        city, credits = self.city, self.city.credits
        alerts, invoices, disputes = credits.alerts, credits.invoices, credits.disputes
        _, second, third = [
            await alerts.create(city.org, name="预算", window="day", amount_micro=MICRO, percent=80, actor="person:t")
            for _ in range(3)
        ]
        await alerts.change(city.org, second.id, percent=50)
        await alerts.delete(city.org, third.id)
        self.seen += [one.percent for one in await alerts.of(city.org)]
        self.seen += [await invoices.invoiceable_fen(city.org)]
        for number, amount_fen in enumerate((3_000, 2_000, 1_000)):
            made = await request(city, amount_fen, f"i{number}")
            if number == 1:
                await invoices.issue(made.id, number=f"2533{city.org.int % 10**16:016}", by="person:o")
            elif number == 2:
                await invoices.reject(made.id, reason="抬头有误", by="person:o")
        self.seen += [(one.state, one.amount_fen) for one in await invoices.list(city.org)]
        self.seen += [await invoices.invoiceable_fen(city.org)]
        for number in range(4):
            made = await disputes.open(city.org, await city.call(), reason="重复计费", actor="person:t")
            if number == 1:
                await disputes.refuse(made.id, answer="计量无误", by="person:o")
            elif number == 2:
                await disputes.grant(made.id, answer="属实", by="person:o")
            elif number == 3:
                await disputes.withdraw(city.org, made.id, by="person:t")
        self.seen += [one.state for one in await disputes.list(city.org)]

    async def reddening(self) -> None:
        """An invoice over everything, a refund, and the letter of it."""
        city, refunds = self.city, self.city.credits.refunds
        for ref in ("red", "red again"):
            bought = await city.buy(10_000, ref)
            made = await request(city, await city.credits.invoices.invoiceable_fen(city.org), ref, kind="ordinary")
            await city.credits.invoices.issue(made.id, number=f"26{len(ref)}{city.org.int % 10**16:016}", by="person:o")
            await refund(city, bought, ref)
            letters = await refunds.red_letters.list(city.org, waiting=True)
            if ref == "red":
                await refunds.red_letters.issue(letters[0].id, number=f"红 {city.org}", by="person:o")
        self.seen += [(one.state, one.amount_fen) for one in await refunds.red_letters.list(city.org)]
        self.seen += [(one.state, one.refund_fen) for one in await refunds.list(city.org)]

    async def end(self) -> None:
        city = self.city
        month = await city.credits.statements.month(city.org)
        self.seen += sorted([(lot.provenance, sorted(lot.moves.values())) for lot in month.lots])
        self.seen += [await city.balance(), len(await city.credits.lapses.of(city.org))]

    async def run(self) -> list[Any]:
        await self.buying()
        await self.giving_back()
        await self.asking()
        await self.reddening()
        await self.end()
        return self.seen


async def test_what_one_organisation_does_is_as_if_the_other_were_not_there(city: City) -> None:
    _, codes = await issued(city)
    alone = await Life(city, codes).run()
    before = await all_rows(city.db, "credits", "payments")
    beside = await Life(city, codes).run()
    assert beside == alone
    found = changed(before, await all_rows(city.db, "credits", "payments"))
    assert [name for name in found if not name.startswith(("credits.code ", "credits.code_batch "))] == []
    assert sum(name.startswith("credits.code ") for name in found) == 1, "the one that was redeemed"
    assert (await city.ledger.verify()).clean
