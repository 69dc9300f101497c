"""T14: three strangers that ally, each by its own consent, buy five points cheaper and learn from each other's data."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from shanhe.alliances.api import (
    Alliances,
    AlreadyAllied,
    AlreadyInvited,
    NotACompany,
    NotInvited,
    NotYours,
    TooMany,
    UnknownAlliance,
)
from shanhe.alliances.service import MEMBERS_MAX
from shanhe.datasets.api import NewDataset, UnknownDataset
from shanhe.facts.api import Standing
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import Asset
from shanhe.rulebook.api import Rulebook

from .conftest import NOON, City

CREDIT = 1_000_000
ROWS = b'{"question": "q1", "answer": "a1"}\n{"question": "q2", "answer": "a2"}\n'
RULEBOOK = Rulebook.load()
ONE, TWO, THREE, SCHOOL = (UUID(int=number) for number in range(1, 5))


class Hall:
    """Alliances alone; the test says who is related and who is no company."""

    def __init__(self, db: Database) -> None:
        self.related: set[frozenset[UUID]] = set()
        self.outside = {SCHOOL}
        clock = FixedClock(NOON)
        self.notifier = Notifier(db, clock)
        self.alliances = Alliances(
            db, clock, rulebook=RULEBOOK, notifier=self.notifier, related=self._related, company=self._company,
            titles={"dataset": self._title},
        )  # fmt: skip

    async def _related(self, one: UUID, other: UUID) -> bool:
        return frozenset((one, other)) in self.related

    async def _company(self, org_id: UUID) -> tuple[str, bool]:
        return f"企业 {org_id.int}", org_id not in self.outside

    async def _title(self, org_id: UUID, ref: str) -> str | None:
        return "质检" if ref == str(org_id) else None

    async def allied(self, *orgs: UUID) -> UUID:
        made = uuid4()
        await self.alliances.found(orgs[0], alliance_id=made, name="智造联盟", purpose="共建质检模型", actor="test")
        for org in orgs[1:]:
            await self.alliances.invite(made, orgs[0], org, actor="test")
            await self.alliances.answer(made, org, accept=True, actor="test")
        return made


@pytest.fixture
def hall(database: Database) -> Hall:
    return Hall(database)


class TestAlliance:
    async def test_three_members_buy_five_points_cheaper_on_top_inside_the_cap(self, city: City) -> None:
        one, two, three = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        alliances, credits = city.services.alliances, city.services.credits
        alliance = await city.allied(one, two)
        assert (await credits.quote(one, 10_000)).priced.benefit_fen == 3_000  # two are no alliance yet: P1 alone
        await alliances.invite(alliance, one, three, actor="test")
        assert (await credits.quote(one, 10_000)).priced.benefit_fen == 3_000  # nor is an invitation
        await alliances.answer(alliance, three, accept=True, actor="test")
        bought = await city.buys(one)
        assert (bought.state, bought.priced.category) == ("posted", "alliance")
        assert (bought.priced.paid_fen, bought.priced.benefit_fen) == (6_500, 3_500)
        wallet = await city.services.ledger.ensure_account(one, Asset.CREDIT, "wallet")
        issued = {str(lot.provenance): lot.issued for lot in await city.services.ledger.lots(wallet.id)}
        assert issued == {"purchased": 65 * CREDIT, "subsidy": 35 * CREDIT}
        assert (await credits.quote(two, 400_000_000)).priced.benefit_fen == 100_000_000
        await alliances.leave(alliance, two, actor="test")
        for org in (one, two, three):
            assert (await credits.quote(org, 10_000)).priced.benefit_fen == 3_000
        assert (await city.services.ledger.verify()).clean

    async def test_related_parties_count_once(self, hall: Hall) -> None:
        hall.related.add(frozenset((ONE, TWO)))
        view = await hall.alliances.get(await hall.allied(ONE, TWO, THREE), ONE)
        assert (len(view.members), view.parties, view.open) == (3, 2, False)
        hall.related.clear()
        assert (await hall.alliances.get(view.alliance.id, ONE)).open
        hall.outside.add(THREE)  # frozen, say
        assert await hall.alliances.size(ONE) == 2

    async def test_nobody_is_a_member_without_consent(self, hall: Hall) -> None:
        alliance = await hall.allied(ONE)
        await hall.alliances.invite(alliance, ONE, TWO, actor="test")
        assert await hall.alliances.size(TWO) == 0
        assert [one.kind for one in await hall.notifier.inbox(uuid4(), [TWO])] == ["alliances.invited"]
        with pytest.raises(AlreadyInvited):
            await hall.alliances.invite(alliance, ONE, TWO, actor="test")
        await hall.alliances.answer(alliance, TWO, accept=False, actor="test")
        assert await hall.alliances.of(TWO) == []
        with pytest.raises(NotInvited):
            await hall.alliances.answer(alliance, TWO, accept=True, actor="test")
        await hall.alliances.invite(alliance, ONE, TWO, actor="test")  # asking again is allowed
        with pytest.raises(UnknownAlliance):
            await hall.alliances.invite(alliance, TWO, THREE, actor="test")

    async def test_who_declined_takes_no_seat(self, hall: Hall) -> None:
        alliance = await hall.allied(ONE)
        for number in range(MEMBERS_MAX):
            await hall.alliances.invite(alliance, ONE, UUID(int=1_000 + number), actor="test")
            await hall.alliances.answer(alliance, UUID(int=1_000 + number), accept=False, actor="test")
        view = await hall.alliances.invite(alliance, ONE, TWO, actor="test")
        assert TWO in [one.org_id for one in view.members if one.state == "invited"]
        for number in range(MEMBERS_MAX - 2):
            await hall.alliances.invite(alliance, ONE, UUID(int=2_000 + number), actor="test")
        with pytest.raises(TooMany, match="members"):
            await hall.alliances.invite(alliance, ONE, THREE, actor="test")

    async def test_a_company_is_in_one_at_a_time_and_nobody_else_in_any(self, hall: Hall) -> None:
        await hall.allied(ONE)
        other = await hall.allied(TWO)
        await hall.alliances.invite(other, TWO, ONE, actor="test")
        with pytest.raises(AlreadyAllied):
            await hall.alliances.answer(other, ONE, accept=True, actor="test")
        with pytest.raises(AlreadyAllied):
            await hall.allied(ONE)
        with pytest.raises(NotACompany):
            await hall.alliances.invite(other, TWO, SCHOOL, actor="test")
        with pytest.raises(NotACompany):
            await hall.allied(SCHOOL)
        await hall.alliances.invite(other, TWO, THREE, actor="test")
        hall.outside.add(THREE)  # since it was asked
        with pytest.raises(NotACompany):
            await hall.alliances.answer(other, THREE, accept=True, actor="test")
        await hall.alliances.answer(other, THREE, accept=False, actor="test")

    async def test_who_leaves_takes_what_it_shared_along(self, hall: Hall) -> None:
        alliance = await hall.allied(ONE, TWO)
        with pytest.raises(NotYours):
            await hall.alliances.share(alliance, ONE, "dataset", str(TWO), actor="test")
        await hall.alliances.share(alliance, ONE, "dataset", str(ONE), actor="test")
        assert await hall.alliances.datasets_for(TWO) == {ONE}
        assert await hall.alliances.datasets_for(ONE) == frozenset()  # one's own is no other's
        await hall.alliances.invite(alliance, ONE, THREE, actor="test")
        for outsider in (THREE, SCHOOL):  # asked, or not even that
            assert await hall.alliances.datasets_for(outsider) == frozenset()
            with pytest.raises(UnknownAlliance):
                await hall.alliances.share(alliance, outsider, "dataset", str(outsider), actor="test")
        await hall.alliances.share(alliance, TWO, "dataset", str(TWO), actor="test")
        await hall.alliances.leave(alliance, ONE, actor="test")
        assert await hall.alliances.datasets_for(TWO) == frozenset()
        assert await hall.alliances.datasets_for(ONE) == frozenset()  # what stays is no more its own
        with pytest.raises(UnknownAlliance):
            await hall.alliances.get(alliance, ONE)


class TestSharing:
    async def test_lets_allies_learn_from_rows_that_are_about_nobody(self, city: City) -> None:
        one, two = [await city.local(name) for name in ("甲厂", "乙厂")]
        alliance = await city.allied(one, two)
        sets, alliances = city.services.workshop.datasets, city.services.alliances
        version = await sets.bring(one, NewDataset("质检", "pairs", "CC-BY-4.0", "own"), "q.jsonl", ROWS, by="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(version.id, two)
        await alliances.share(alliance, one, "dataset", str(version.dataset_id), actor="test")
        learnt, held = await sets.lessons(version.id, two)
        assert len(learnt) + len(held) == 2
        with pytest.raises(UnknownDataset):  # to learn from, not to change
            await sets.forget(version.id, two)
        rows = json.dumps({"question": "电话 13812345678", "answer": "好"}).encode()
        new = NewDataset("客服", "pairs", "CC-BY-4.0", "consent")
        personal = await sets.bring(one, new, "c.jsonl", rows, by="test")
        await alliances.share(alliance, one, "dataset", str(personal.dataset_id), actor="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(personal.id, two)
        await alliances.leave(alliance, one, actor="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(version.id, two)


class TestIncubatee:
    """I6: thirty percent while incubated and two years after, never with P1, and not for users of other tokens."""

    async def test_buys_at_thirty_percent_off_while_incubated_and_two_years_after(self, city: City) -> None:
        credits = city.services.credits

        async def benefit(org: UUID, value_fen: int = 10_000) -> int:
            return (await credits.quote(org, value_fen)).priced.benefit_fen

        firm, left, local = await city.company("在孵企业"), await city.company("毕业企业"), await city.local("本地在孵")
        assert await benefit(firm) == 0
        await city.know(firm, "incubated", True)
        bought = await city.buys(firm)
        assert (bought.priced.benefit_fen, bought.priced.category) == (3_000, "incubated")
        await city.know(local, "incubated", True)
        assert await benefit(local) == 3_000  # never added to P1
        assert await benefit(local, 400_000_000) == 100_000_000  # and inside its cap
        await city.know(firm, "other_token", True, standing=Standing.DECLARED)
        assert await benefit(firm) == 0  # whoever uses another token loses it
        await city.know(firm, "infeasibility_report", True)
        assert await benefit(firm) == 3_000  # unless a report on it was accepted
        await city.allied(firm, local, await city.company("丙"))
        assert await benefit(firm) == 3_500
        await city.know(left, "incubation_ends_on", "2024-03-02")
        assert await benefit(left) == 3_000
        city.clock.advance(days=1)
        assert await benefit(left) == 0


class TestHttp:
    async def test_founds_invites_accepts_and_leaves(self, city: City) -> None:
        one, two = await city.local("甲厂"), await city.local("乙厂")
        number = (await city.services.identity.orgs.get(two)).registration
        async with await city.browser(one) as ours, await city.browser(two) as theirs:
            made = uuid4()
            body = {"id": str(made), "name": "智造联盟", "purpose": "共建质检模型"}
            assert (await ours.post("/api/alliances", json=body)).status_code == 201
            assert (await ours.post("/api/alliances", json=body)).status_code == 201  # the same again
            found = await ours.post(f"/api/alliances/{made}/invitations", json={"company": number})
            assert [one["state"] for one in found.json()["members"]] == ["member", "invited"]
            (invitation,) = (await theirs.get("/api/alliances")).json()["data"]
            assert (invitation["mine"], invitation["shared"]) == ("invited", [])
            assert (await theirs.post(f"/api/alliances/{made}/answer", json={"accept": True})).status_code == 200
            (seen,) = (await ours.get("/api/alliances")).json()["data"]
            assert (seen["parties"], seen["needed"], seen["open"]) == (2, 3, False)
            assert (await theirs.post(f"/api/alliances/{made}/leave")).status_code == 200
            assert (await theirs.get("/api/alliances")).json()["data"] == []
