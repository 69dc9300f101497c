"""Inheritance and dissolution: what passes keeps what it was, what may not pass lapses with its reason."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.approvals.api import SamePerson
from shanhe.credits import estates
from shanhe.credits.api import (
    BadEstate,
    EstateConflict,
    EstateDocument,
    EstateHeld,
    EstatePledged,
    NotFrozen,
    Successor,
)
from shanhe.credits.estate_model import WHOLE_BPS, shared
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Charge, Leg, NewLot, Posting, Provenance, Transfer
from stage.faults import lost_mark

from .conftest import City
from .test_http import Site, site  # noqa: F401

CREDIT = 1_000_000
PAPERS = (EstateDocument("end", "死亡证明 2026-118"), EstateDocument("right", "公证书 2026-4471", "a" * 64))


class House:
    """A frozen organisation with something of everything, and two heirs."""

    def __init__(self, city: City) -> None:
        self.city, self.ledger = city, city.ledger
        self.heir, self.other = uuid4(), uuid4()

    async def open(self) -> House:
        city, now = self.city, self.city.clock.now()
        self.wallet = (await self.ledger.ensure_account(city.org, Asset.CREDIT, "wallet")).id
        self.income = (await self.ledger.ensure_account(city.org, Asset.CREDIT, "income")).id
        self.lots = {
            "bought": await self.lot(self.wallet, 70, Provenance.PURCHASED, unlock_at=now + timedelta(days=60),
                                     cost_fen=4_551),
            "given": await self.lot(self.wallet, 30, Provenance.SUBSIDY, expires_at=now + timedelta(days=300)),
            "earned": await self.lot(self.income, 11, Provenance.REWARD, expires_at=now + timedelta(days=700),
                                     spendable_at=now + timedelta(days=7), earmark={"department": "data"}),
        }  # fmt: skip
        root = await self.lot(self.wallet, 5, Provenance.PURCHASED)
        self.lots["traded"] = await self.lot(
            self.wallet, 5, Provenance.EXCHANGE, parent=root, unlock_at=now + timedelta(days=80)
        )
        await self.move(Asset.CNY, "exchange_cash", 4_321)
        await self.move(Asset.VOUCHER, "wallet", 500)
        self.freeze(True)
        return self

    def freeze(self, frozen: bool) -> None:
        self.city.payers[self.city.org] = replace(City.local(self.city.org), frozen=frozen)

    async def lot(self, account: UUID, credits: int, provenance: Provenance, **more: object) -> UUID:
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        new = NewLot(id=new_id(), account=account, provenance=provenance, amount=credits * CREDIT, **more)
        transfer = Transfer(new_id(), issuance.id, account, credits * CREDIT)
        await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(new,)))
        return new.id

    async def move(self, asset: Asset, kind: str, amount: int) -> None:
        source = await self.ledger.system_account("opening", asset)
        target = await self.ledger.ensure_account(self.city.org, asset, kind, lots=False)
        await self.ledger.post(
            Posting(id=new_id(), kind="test", transfers=(Transfer(new_id(), source.id, target.id, amount),))
        )

    async def ask(self, *successors: Successor, **more: object):
        to = successors or (Successor(self.heir),)
        values = {"kind": "inheritance", "successors": to, "documents": PAPERS, "reason": "继承", "by": "person:1"}
        return await self.city.credits.estates.ask(self.city.org, **{**values, **more})

    async def hand_over(self, *successors: Successor):
        asked = await self.ask(*successors)
        return await self.city.credits.estates.approve(asked.id, by="person:2")

    async def has(self, owner: UUID, asset: Asset = Asset.CREDIT, kind: str = "wallet") -> int:
        lots = asset is Asset.CREDIT
        account = await self.ledger.ensure_account(owner, asset, kind, lots=lots)
        return (await self.ledger.balance(account.id)).balance

    async def sound(self) -> bool:
        report = await self.ledger.verify()
        assert report.clean, report.findings
        return True


@pytest.fixture
async def house(city: City) -> House:
    return await House(city).open()


class TestShares:
    @given(amount=st.integers(0, 10**15), cuts=st.sets(st.integers(1, WHOLE_BPS - 1), max_size=8))
    def test_come_to_the_whole_and_differ_from_the_exact_part_by_less_than_one(self, amount: int, cuts: set[int]):
        edges = [0, *sorted(cuts), WHOLE_BPS]
        heirs = [Successor(uuid4(), high - low) for low, high in itertools.pairwise(edges)]
        parts = shared(amount, heirs)
        assert sum(parts) == amount
        for heir, part in zip(heirs, parts, strict=True):
            assert abs(part * WHOLE_BPS - amount * heir.share_bps) <= WHOLE_BPS


class TestHandover:
    async def test_shares_what_a_lot_cost_as_it_shares_the_lot(self, house: House) -> None:
        heirs = {uuid4(): bps for bps in (100, 1_111, 8_789)}
        await house.hand_over(*(Successor(heir, bps) for heir, bps in heirs.items()))
        found = {}
        for heir in heirs:
            wallet = await house.ledger.ensure_account(heir, Asset.CREDIT, "wallet")
            (lot,) = [one for one in await house.ledger.lots(wallet.id) if one.parent == house.lots["bought"]]
            found[heir] = lot.cost_fen or 0
        assert sum(found.values()) == 4_551
        assert all(abs(cost * WHOLE_BPS - 4_551 * heirs[heir]) <= WHOLE_BPS for heir, cost in found.items())

    async def test_of_two_organisations_is_booked_for_each(self, city: City) -> None:
        first = await House(city).open()
        one = await first.hand_over()
        city.org = uuid4()
        second = await House(city).open()
        two = await second.hand_over()
        assert (one.state, two.state) == ("booked", "booked")
        assert one.posting_id != two.posting_id
        assert [await house.has(house.heir) for house in (first, second)] == [80 * CREDIT] * 2
        assert await second.sound()

    async def test_is_told_to_those_who_acted_for_what_has_ended(self, house: House) -> None:
        await house.hand_over()
        (told,) = await house.city.notifier.inbox(uuid4(), [house.city.org], limit=1)
        assert (told.kind, told.link) == ("estate_left", "/credits")

    async def test_says_to_whoever_decides_why_it_was_asked(self, house: House) -> None:
        asked, approvals = await house.ask(reason="债权人会议同意"), house.city.credits.estates._approvals
        assert await approvals.why(await approvals.get(asked.id)) == "债权人会议同意"

    async def test_is_one_posting_that_keeps_provenance_expiry_lock_and_earmark(self, house: House) -> None:
        done = await house.hand_over()
        assert (done.state, done.decided_by) == ("booked", "person:2")
        posting = await house.ledger.posting(done.posting_id)
        assert posting.kind == "estate"
        before = await house.ledger.lots_by_id(list(house.lots.values()))
        wallet = await house.ledger.ensure_account(house.heir, Asset.CREDIT, "wallet")
        income = await house.ledger.ensure_account(house.heir, Asset.CREDIT, "income")
        after = [*await house.ledger.lots(wallet.id), *await house.ledger.lots(income.id)]
        kept = {(lot.parent, lot.provenance): lot for lot in after}
        for name in ("bought", "earned", "traded"):
            old = before[house.lots[name]]
            new = kept[old.parent if name == "traded" else old.id, old.provenance]
            assert new.remaining == old.issued
            for field in ("provenance", "expires_at", "unlock_at", "spendable_at", "earmark", "cost_fen"):
                assert getattr(new, field) == getattr(old, field), (name, field)
        assert all(lot.provenance is not Provenance.SUBSIDY for lot in after)
        assert await house.has(house.heir, Asset.CNY, "exchange_cash") == 4_321
        assert await house.has(house.city.org) == 0
        assert await house.sound()

    async def test_lapses_what_was_for_the_one_who_qualified_and_says_why(self, house: House) -> None:
        offered = {(line.what, line.why): (line.passes, line.lapses)
                   for line in await house.city.credits.estates.offer(house.city.org)}  # fmt: skip
        done = await house.hand_over()
        lines = {(line.what, line.why): (line.passes, line.lapses) for line in done.lines}
        assert offered == lines
        assert lines["subsidy", "by_rule"] == (0, 30 * CREDIT)
        assert lines["voucher", "by_rule"] == (0, 500)
        assert lines["cash", ""] == (4_321, 0)
        assert lines["purchased", ""] == (75 * CREDIT, 0)
        breakage = await house.ledger.system_account("breakage", Asset.CREDIT)
        assert (await house.ledger.balance(breakage.id)).balance == 30 * CREDIT
        assert done.rule_version
        assert await house.city.notices("estate") == 1

    async def test_goes_to_several_by_their_shares_to_the_last_unit(self, house: House) -> None:
        await house.hand_over(Successor(house.heir, 3_333), Successor(house.other, 6_667))
        cash = [await house.has(one, Asset.CNY, "exchange_cash") for one in (house.heir, house.other)]
        assert cash == [1_441, 2_880]
        credits = [await house.has(one) for one in (house.heir, house.other)]
        assert sum(credits) == 80 * CREDIT
        assert await house.sound()

    async def test_cannot_be_sold_before_the_lock_it_came_with(self, house: House) -> None:
        await house.hand_over()
        wallet = await house.ledger.ensure_account(house.heir, Asset.CREDIT, "wallet")
        query = "SELECT ledger.tradeable($1, $2)"
        now = house.city.clock.now()
        assert await house.city.db.fetchval(query, wallet.id, now) == 5 * CREDIT  # the lot without a lock
        assert await house.city.db.fetchval(query, wallet.id, now + timedelta(days=61)) == 75 * CREDIT

    async def test_takes_years_of_income_and_every_account(self, house: House) -> None:
        """Two lots a day for two years, and an account for every market and pledge there was."""
        issuance = await house.ledger.system_account("issuance", Asset.CREDIT)
        lots = tuple(
            NewLot(id=new_id(), account=house.income, provenance=Provenance.REWARD, amount=CREDIT) for _ in range(1_460)
        )
        transfer = Transfer(new_id(), issuance.id, house.income, 1_460 * CREDIT)
        await house.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=lots))
        for number in range(100):
            await house.ledger.ensure_account(house.city.org, Asset.CNY, "clearing", name=f"{number}", lots=False)
        await house.move(Asset.CNY, "exchange_cash", 1)
        done = await house.hand_over(Successor(house.heir, 5_000), Successor(house.other, 5_000))
        assert done.state == "booked"
        got = [await house.has(one, kind="income") for one in (house.heir, house.other)]
        assert sum(got) == (1_460 + 11) * CREDIT
        left = await house.ledger.accounts(owner=house.city.org, limit=500)
        assert {view.balance for view in left} == {0}
        assert await house.sound()

    async def test_of_nothing_books_nothing(self, city: City) -> None:
        empty = House(city)
        empty.freeze(True)
        done = await empty.hand_over()
        assert (done.state, done.posting_id, done.lines) == ("booked", None, [])


class TestObstacle:
    async def test_is_an_organisation_that_still_works(self, house: House) -> None:
        house.freeze(False)
        with pytest.raises(NotFrozen):
            await house.ask()
        house.freeze(True)
        asked = await house.ask()
        house.freeze(False)
        with pytest.raises(NotFrozen):
            await house.city.credits.estates.approve(asked.id, by="person:2")
        assert await house.has(house.heir) == 0

    async def test_is_what_is_held_and_the_jobs_worker_goes_on_when_it_is_free(self, house: House) -> None:
        hold = new_id()
        until = house.city.clock.now() + timedelta(days=3)
        await house.ledger.hold(house.wallet, 10 * CREDIT, hold_id=hold, purpose="call", expires_at=until)
        asked = await house.ask()
        with pytest.raises(EstateHeld):
            await house.city.credits.estates.approve(asked.id, by="person:2")
        platform = await house.ledger.system_account("platform", Asset.CREDIT)
        await house.ledger.capture(hold, Charge(4 * CREDIT, (Leg(platform.id, 4 * CREDIT),)))
        await house.city.tick()
        assert (await house.city.credits.estates.get(asked.id)).state == "booked"
        assert await house.sound()

    async def test_of_others_does_not_keep_the_oldest_waiting(self, house: House, monkeypatch) -> None:
        """One that is agreed to is booked, however many younger ones nobody has decided."""
        asked = await house.ask()
        await house.city.db.execute(
            """INSERT INTO credits.estate
               SELECT (jsonb_populate_record(e, jsonb_build_object('id', young, 'org_id', gen_random_uuid()))).*
                 FROM credits.estate e, unnest($1::uuid[]) young WHERE id = $2""",
            [new_id() for _ in range(3)], asked.id,
        )  # fmt: skip
        monkeypatch.setattr(estates, "PAGE_ROWS", 2)
        house.freeze(False)
        with pytest.raises(NotFrozen):
            await house.city.credits.estates.approve(asked.id, by="person:2")
        house.freeze(True)
        await house.city.tick()
        assert (await house.city.credits.estates.get(asked.id)).state == "booked"

    async def test_is_what_secures_a_loan(self, house: House) -> None:
        await house.ledger.set_floor(house.wallet, CREDIT)
        asked = await house.ask()
        with pytest.raises(EstatePledged):
            await house.city.credits.estates.approve(asked.id, by="person:2")
        await house.ledger.set_floor(house.wallet, 0)

    async def test_is_ended_first_where_it_is_an_order(self, house: House) -> None:
        ended: list[UUID] = []

        async def end_orders(org: UUID) -> None:
            ended.append(org)

        house.city.credits.estates._end_orders = end_orders
        await house.hand_over()
        assert ended == [house.city.org]


class TestFourEyes:
    async def test_the_one_who_asked_does_not_approve(self, house: House) -> None:
        asked = await house.ask()
        with pytest.raises(SamePerson):
            await house.city.credits.estates.approve(asked.id, by="person:1")
        done = await house.city.credits.estates.reject(asked.id, by="person:2", reason="证明不符")
        assert (done.state, done.posting_id) == ("ended", None)
        assert await house.has(house.city.org) == 110 * CREDIT

    async def test_another_one_waits_until_the_first_is_decided(self, house: House) -> None:
        asked = await house.ask(estate_id=uuid4())
        assert (await house.ask(estate_id=asked.id)).id == asked.id
        with pytest.raises(EstateConflict):
            await house.ask()
        with pytest.raises(EstateConflict):
            await house.ask(estate_id=asked.id, reason="another")

    async def test_a_crash_after_the_posting_books_nothing_twice(self, house: House, monkeypatch) -> None:
        asked = await house.ask()

        async def dies(*_: object, **__: object) -> None:
            raise ConnectionError

        with monkeypatch.context() as patch:  # between the posting and the file
            patch.setattr("shanhe.credits.estate_store.end", dies)
            with pytest.raises(ConnectionError):
                await house.city.credits.estates.approve(asked.id, by="person:2")
        stood = await house.has(house.heir)
        with lost_mark():  # between the file and the request
            await house.city.credits.estates.approve(asked.id, by="person:2")
        await house.city.credits.estates.approve(asked.id, by="person:2")
        done = await house.city.credits.estates.get(asked.id)
        assert (done.state, sum(line.passes for line in done.lines)) == ("booked", 91 * CREDIT + 4_321)
        assert await house.has(house.heir) == stood == 80 * CREDIT
        assert await house.sound()

    async def test_another_process_that_books_it_meanwhile_leaves_it_on_file_once(self, house: House) -> None:
        """It has posted it, and not written that down yet."""
        asked, estates = await house.ask(), house.city.credits.estates

        async def meanwhile(_: UUID) -> None:
            estates._end_orders = None
            await estates._book(await estates.get(asked.id), "person:1 + person:2")

        estates._end_orders = meanwhile
        done = await estates.approve(asked.id, by="person:2")
        assert done.posting_id is not None
        assert sum(line.passes for line in done.lines) == 91 * CREDIT + 4_321
        assert await house.city.notices("estate") == 1
        assert await house.sound()

    @pytest.mark.parametrize("more", [0, 1])
    async def test_another_plan_that_was_booked_first_is_the_one_that_stands(
        self, house: House, monkeypatch, more: int
    ) -> None:
        asked, estates, post = await house.ask(), house.city.credits.estates, house.ledger.post

        async def late(posting: Posting) -> object:
            monkeypatch.setattr(house.ledger, "post", post)
            if more:
                await house.move(Asset.CNY, "exchange_cash", more)
            await estates._book(await estates.get(asked.id), "person:1 + person:2")
            return await post(posting)

        monkeypatch.setattr(house.ledger, "post", late)
        done = await estates.approve(asked.id, by="person:2")
        assert sum(line.passes for line in done.lines) == 91 * CREDIT + 4_321 + more
        assert await house.has(house.heir, Asset.CNY, "exchange_cash") == 4_321 + more
        assert (await estates._approvals.get(asked.id)).state == "done"

    @pytest.mark.parametrize(
        "change",
        [
            {"kind": "gift"},
            {"documents": PAPERS[:1]},
            {"documents": (*PAPERS, EstateDocument("other", " "))},
            {"documents": (*PAPERS, EstateDocument("other", "x", "no digest"))},
            {"successors": ()},
            {"successors": (Successor(UUID(int=1), 5_000),)},
            {"successors": (Successor(UUID(int=1), 5_000), Successor(UUID(int=1), 5_000))},
            {"successors": (Successor(UUID(int=1), 15_000), Successor(UUID(int=2), -5_000))},
        ],
    )
    async def test_is_asked_for_with_documents_and_shares_that_are_in_order(
        self, city: City, change: dict[str, object]
    ) -> None:
        house = House(city)
        house.freeze(True)
        with pytest.raises(BadEstate):
            await house.ask(**change)


class TestRoutes:
    async def test_lead_from_the_documents_to_the_successor(self, site: Site) -> None:  # noqa: F811
        gone, heir = await site.client("topup", name="清算公司"), await site.client("topup", name="承继公司")
        first, second = await site.client("accounts", name="一"), await site.client("accounts", name="二")
        city = site.city
        city.credits.estates._payer = city.credits._payer  # what is asked of identity, here too
        await city.credits.top_up(UUID(gone.org_id), 40 * CREDIT, "desk", "test", client_ref="d")
        body = {
            "org_id": gone.org_id, "kind": "dissolution", "reason": "公司注销",
            "successors": [{"org_id": heir.org_id}],
            "documents": [{"proves": "end", "reference": "注销通知 1"}, {"proves": "right", "reference": "清算报告 1"}],
        }  # fmt: skip
        early = await first.post("/api/credits/estates", json=body)
        assert (early.status_code, early.json()["error"]["code"]) == (409, "not_frozen")
        assert (await gone.post("/api/credits/estates", json=body)).status_code == 403
        await site.identity.orgs.freeze(UUID(gone.org_id), "注销", by="test")
        asked = await first.post("/api/credits/estates", json=body)
        assert asked.status_code == 201, asked.text
        path = f"/api/credits/estates/{asked.json()['id']}"
        assert (await first.post(f"{path}/approve")).status_code == 403
        offer = (await first.get("/api/credits/estates/offer", params={"org_id": gone.org_id})).json()["data"]
        assert [line["passes"] for line in offer] == [40 * CREDIT]
        done = await second.post(f"{path}/approve")
        assert done.json()["state"] == "booked", done.text
        assert (await first.get("/api/credits/estates")).json()["data"][0]["posting_id"] == done.json()["posting_id"]
        assert (await heir.get("/api/credits/balance")).json()["balance_micro"] == 40 * CREDIT
