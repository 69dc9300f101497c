"""Break-glass through the whole city: over HTTP, onto the ledger, into the log, and back."""

from __future__ import annotations

from uuid import UUID, uuid4

import pyotp

from shanhe.exchange.api import Market
from shanhe.identity.api import NewKey, Role
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Posting, Transfer

from .conftest import House

REASON = "今夜汛情，预算须即刻到位，同事联系不上"
FEN = 5_000_000


async def totp(house: House, person: UUID) -> pyotp.TOTP:
    """A second factor, set up and ready."""
    factors = house.services.identity.factors
    made = await factors.begin_totp(person)
    code = pyotp.TOTP(made.secret)
    await factors.confirm_totp(person, code.at(house.clock.now()), by=f"person:{person}")
    house.clock.advance(seconds=60)  # a code is good once
    return code


class TestEmergency:
    async def test_one_clerk_funds_a_budget_alone_is_judged_and_it_is_undone(self, house: House) -> None:
        services, clock = house.services, house.clock
        clerk, colleague = await house.person("clerk", Role.OPERATOR), await house.person("other", Role.OPERATOR)
        auditor = await house.person("auditor", Role.AUDITOR)
        code = await totp(house, clerk)
        budget = next(name for name, one in services.programmes.catalogue.budgets.items() if one.asset == "cny")
        asked, glass = str(uuid4()), str(uuid4())
        opening = {"id": glass, "class": "programmes.funding", "object": budget, "reason": REASON}

        async def booked() -> int:
            found = {one.name: one.free for one in await services.programmes.budgets.list()}
            return found[budget]

        async with (
            await house.browser(clerk) as mine, await house.browser(colleague) as theirs,
            await house.browser(auditor) as judge,
        ):  # fmt: skip
            body = {"id": asked, "amount": FEN, "reason": "防汛"}
            assert (await mine.post(f"/api/programmes/budgets/{budget}/fund", json=body)).status_code < 300
            agree = f"/api/programmes/requests/{asked}/approve"
            assert (await mine.post(agree)).json()["error"]["code"] == "same_person"
            wrong = await mine.post("/api/break-glass", json=opening | {"code": "000000"})
            assert wrong.status_code == 401
            answer = await mine.post("/api/break-glass", json=opening | {"code": code.at(clock.now())})
            assert (answer.status_code, answer.json()["state"]) == (201, "open")
            page = (await theirs.get("/city/break-glass")).text
            assert "紧急授权使用中" in page  # a banner for everybody in operations
            action = f"/city/programmes/requests/{asked}"
            assert action in (await mine.get("/city/programmes")).text  # the button that the opening gives back
            assert (await mine.post(agree)).status_code == 200
            assert await booked() == FEN
            posting = await services.ledger.posting(UUID(asked))
            assert posting.actor == f"person:{clerk} + break-glass:{glass}"
            (act,) = (await judge.get(f"/api/break-glass/{glass}")).json()["acts"]
            assert (act["value_fen"], act["posting"]) == (FEN, asked)

            clock.advance(minutes=31)
            review = {"justified": False, "findings": "次日上班前即可办理，并不紧急", "follow_up": "reversal"}
            assert (await mine.post(f"/api/break-glass/{glass}/review", json=review)).status_code == 403
            duties = (await judge.get("/api/governance/duties")).json()["data"]
            assert [duty["kind"] for duty in duties if duty["kind"] == "break_glass"]
            done = await judge.post(f"/api/break-glass/{glass}/review", json=review)
            (act,) = done.json()["acts"]
            for browser, status in ((mine, 403), (judge, 403), (theirs, 200)):
                path = f"/api/approvals/requests/{act['reversal']}/approve"
                assert (await browser.post(path, json={})).status_code == status
        assert await services.emergency.undoing.run() == 0  # it was done with the second word
        assert (await booked(), (await services.ledger.verify()).clean) == (0, True)

    async def test_a_key_neither_opens_nor_is_a_second_person(self, house: House) -> None:
        services = house.services
        clerk = await house.person("clerk", Role.ADMIN)
        org = await house.own(clerk)
        async with await house.browser(clerk) as mine:
            actor = await services.identity.sessions.actor(mine.headers["cookie"].partition("=")[2])
        _, token = await services.identity.keys.create(
            org, NewKey("desk", permissions=frozenset({"accounts", "programmes", "ledger"})), by=actor
        )
        asked = str(uuid4())
        budget = next(iter(services.programmes.catalogue.budgets))
        async with await house.browser(clerk) as mine:
            body = {"id": asked, "amount": 100, "reason": "x"}
            await mine.post(f"/api/programmes/budgets/{budget}/fund", json=body)
            mine.headers.pop("cookie")
            mine.headers["authorization"] = f"Bearer {token}"
            agreed = await mine.post(f"/api/programmes/requests/{asked}/approve")
            assert agreed.json()["error"]["code"] == "same_person"
            opening = {"id": str(uuid4()), "class": "programmes.funding", "object": budget, "reason": REASON}
            refused = await mine.post("/api/break-glass", json=opening)
            assert refused.json()["error"]["code"] == "glass_refused"

    async def test_what_waits_is_undone_once_it_is_booked(self, house: House) -> None:
        """The fund was empty when one person agreed alone; the review found it wrong before there was money."""
        services, clock = house.services, house.clock
        clerk, colleague = await house.person("clerk", Role.OPERATOR), await house.person("other", Role.OPERATOR)
        auditor, maker = await house.person("auditor", Role.AUDITOR), await house.own(await house.person("maker"))
        code, fund = await totp(house, clerk), services.exchange.fund
        asked, glass, by = uuid4(), str(uuid4()), f"person:{clerk}"
        await fund.request(maker, 100, "奖金", by=by, request_id=asked)
        opening = {"id": glass, "class": "exchange.fund_payment", "object": str(maker), "reason": REASON}
        async with (
            await house.browser(clerk) as mine, await house.browser(colleague) as theirs,
            await house.browser(auditor) as judge,
        ):  # fmt: skip
            opened = await mine.post("/api/break-glass", json=opening | {"code": code.at(clock.now())})
            assert opened.status_code == 201, opened.text
            assert (await fund.approve(asked, by=by)).state == "open"
            clock.advance(minutes=31)
            review = {"justified": False, "findings": "次日上班前即可办理，并不紧急", "follow_up": "reversal"}
            (act,) = (await judge.post(f"/api/break-glass/{glass}/review", json=review)).json()["acts"]
            early = await theirs.post(f"/api/approvals/requests/{act['reversal']}/approve", json={})
            assert early.status_code == 503, early.text
            assert (await services.approvals.get(UUID(act["reversal"]))).state == "approved"
        source = await services.ledger.system_account("opening", Asset.CNY)
        account = await fund.account(Market.REAL)
        into = Transfer(new_id(), source.id, account, 100)
        await services.ledger.post(Posting(id=new_id(), kind="test", transfers=(into,)))
        assert (await fund.run(), await services.emergency.undoing.run()) == (1, 1)
        assert (await services.ledger.balance(account)).balance == 100
        assert (await services.approvals.get(UUID(act["reversal"]))).state == "done"
