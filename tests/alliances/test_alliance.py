"""T14: three strangers that ally, each by its own consent, buy five points cheaper and learn from each other's data."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from shanhe.alliances.api import AlreadyAllied, AlreadyInvited, NotACompany, NotInvited, NotYours, UnknownAlliance
from shanhe.datasets.api import NewDataset, UnknownDataset
from shanhe.facts.api import Standing
from shanhe.identity.api import OrgKind
from shanhe.ledger.api import Asset

from .conftest import City

CREDIT = 1_000_000
ROWS = b'{"question": "q1", "answer": "a1"}\n{"question": "q2", "answer": "a2"}\n'


class TestAlliance:
    async def test_three_members_buy_five_points_cheaper_on_top(self, city: City) -> None:
        one, two, three = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        await city.allied(one, two)
        assert (await city.buys(one)).priced.benefit_fen == 3_000  # two are no alliance yet: P1 alone
        alliance = (await city.services.alliances.of(one))[0].alliance.id
        await city.services.alliances.invite(alliance, one, three, actor="test")
        assert (await city.buys(one)).priced.benefit_fen == 3_000  # nor is an invitation
        await city.services.alliances.answer(alliance, three, accept=True, actor="test")
        bought = await city.buys(one)
        assert (bought.state, bought.priced.category) == ("posted", "alliance")
        assert (bought.priced.paid_fen, bought.priced.benefit_fen) == (6_500, 3_500)
        wallet = await city.services.ledger.ensure_account(one, Asset.CREDIT, "wallet")
        issued = [(str(lot.provenance), lot.issued) for lot in await city.services.ledger.lots(wallet.id)]
        assert ("purchased", 65 * CREDIT) in issued
        assert ("subsidy", 35 * CREDIT) in issued
        assert (await city.services.ledger.verify()).clean

    async def test_who_has_no_discount_of_its_own_gets_the_five_points(self, city: City) -> None:
        orgs = [await city.company(name) for name in ("甲厂", "乙厂", "丙厂")]
        await city.allied(*orgs)
        assert (await city.buys(orgs[2])).priced.benefit_fen == 500

    async def test_stays_inside_the_cap_of_p1(self, city: City) -> None:
        orgs = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        await city.allied(*orgs)
        quote = await city.services.credits.quote(orgs[0], 400_000_000)
        assert quote.priced.benefit_fen == 100_000_000

    async def test_ends_for_everybody_when_one_of_three_leaves(self, city: City) -> None:
        orgs = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        alliance = await city.allied(*orgs)
        await city.services.alliances.leave(alliance, orgs[1], actor="test")
        for org in orgs:
            assert (await city.services.credits.quote(org, 10_000)).priced.benefit_fen == 3_000
        with pytest.raises(UnknownAlliance):
            await city.services.alliances.get(alliance, orgs[1])

    async def test_related_parties_count_once(self, city: City) -> None:
        orgs = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        await city.know(orgs[1], "owned_by", 6_000, key=orgs[0])
        alliance = await city.allied(*orgs)
        view = await city.services.alliances.get(alliance, orgs[0])
        assert (len(view.members), view.parties, view.open) == (3, 2, False)
        assert (await city.services.credits.quote(orgs[2], 10_000)).priced.benefit_fen == 3_000

    async def test_nobody_is_a_member_without_consent(self, city: City) -> None:
        one, two = await city.local("甲厂"), await city.local("乙厂")
        alliance = await city.allied(one)
        await city.services.alliances.invite(alliance, one, two, actor="test")
        with pytest.raises(AlreadyInvited):
            await city.services.alliances.invite(alliance, one, two, actor="test")
        await city.services.alliances.answer(alliance, two, accept=False, actor="test")
        assert await city.services.alliances.of(two) == []
        with pytest.raises(NotInvited):
            await city.services.alliances.answer(alliance, two, accept=True, actor="test")
        await city.services.alliances.invite(alliance, one, two, actor="test")  # asking again is allowed
        with pytest.raises(UnknownAlliance):
            await city.services.alliances.invite(alliance, two, await city.local("丙厂"), actor="test")

    async def test_a_company_is_in_one_at_a_time_and_people_in_none(self, city: City) -> None:
        one, two = await city.local("甲厂"), await city.local("乙厂")
        await city.allied(one)
        other = await city.allied(two)
        await city.services.alliances.invite(other, two, one, actor="test")
        with pytest.raises(AlreadyAllied):
            await city.services.alliances.answer(other, one, accept=True, actor="test")
        with pytest.raises(AlreadyAllied):
            await city.allied(one)
        with pytest.raises(NotACompany):
            await city.services.alliances.invite(
                other, two, await city.company("学院", OrgKind.INSTITUTION), actor="test"
            )


class TestSharing:
    async def test_lets_allies_learn_from_a_data_set_for_as_long_as_both_are_members(self, city: City) -> None:
        orgs = [await city.local(name) for name in ("甲厂", "乙厂", "丙厂")]
        alliance = await city.allied(*orgs)
        sets, alliances = city.services.workshop.datasets, city.services.alliances
        version = await sets.bring(orgs[0], NewDataset("质检", "pairs", "CC-BY-4.0", "own"), "q.jsonl", ROWS, by="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(version.id, orgs[1])
        with pytest.raises(NotYours):
            await alliances.share(alliance, orgs[1], "dataset", str(version.dataset_id), actor="test")
        await alliances.share(alliance, orgs[0], "dataset", str(version.dataset_id), actor="test")
        assert [one.title for one in (await alliances.get(alliance, orgs[1])).shared] == ["质检"]
        learnt, held = await sets.lessons(version.id, orgs[1])
        assert len(learnt) + len(held) == 2
        with pytest.raises(UnknownDataset):  # to learn from, not to change
            await sets.forget(version.id, orgs[1])
        await alliances.leave(alliance, orgs[0], actor="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(version.id, orgs[1])

    async def test_keeps_rows_about_people_from_allies(self, city: City) -> None:
        orgs = [await city.local(name) for name in ("甲厂", "乙厂")]
        alliance = await city.allied(*orgs)
        sets = city.services.workshop.datasets
        rows = json.dumps({"question": "电话 13812345678", "answer": "好"}).encode()
        new = NewDataset("客服", "pairs", "CC-BY-4.0", "consent")
        version = await sets.bring(orgs[0], new, "c.jsonl", rows, by="test")
        assert version.personal
        await city.services.alliances.share(alliance, orgs[0], "dataset", str(version.dataset_id), actor="test")
        with pytest.raises(UnknownDataset):
            await sets.lessons(version.id, orgs[1])


class TestIncubatee:
    """I6: thirty percent while incubated and two years after, never with P1, and not for users of other tokens."""

    async def test_buys_at_thirty_percent_off_without_being_local(self, city: City) -> None:
        firm = await city.company("在孵企业")
        assert (await city.buys(firm)).priced.benefit_fen == 0
        await city.know(firm, "incubated", True)
        bought = await city.buys(firm)
        assert (bought.priced.benefit_fen, bought.priced.category) == (3_000, "incubated")

    async def test_keeps_it_two_years_after(self, city: City) -> None:
        firm = await city.company("毕业企业")
        await city.know(firm, "incubation_ends_on", "2024-03-02")
        assert (await city.services.credits.quote(firm, 10_000)).priced.benefit_fen == 3_000
        city.clock.advance(days=1)
        assert (await city.services.credits.quote(firm, 10_000)).priced.benefit_fen == 0

    async def test_never_adds_up_with_p1_and_shares_its_cap(self, city: City) -> None:
        firm = await city.local("在孵企业")
        await city.know(firm, "incubated", True)
        assert (await city.services.credits.quote(firm, 10_000)).priced.benefit_fen == 3_000
        await city.buys(firm, 300_000_000)
        assert (await city.services.credits.quote(firm, 100_000_000)).priced.benefit_fen == 10_000_000

    async def test_is_lost_by_whoever_declares_another_token_unless_a_report_was_accepted(self, city: City) -> None:
        firm = await city.company("在孵企业")
        await city.know(firm, "incubated", True)
        await city.know(firm, "other_token", True, standing=Standing.DECLARED)
        assert (await city.services.credits.quote(firm, 10_000)).priced.benefit_fen == 0
        await city.know(firm, "infeasibility_report", True)
        assert (await city.services.credits.quote(firm, 10_000)).priced.benefit_fen == 3_000

    async def test_an_allied_incubatee_has_thirty_five_percent(self, city: City) -> None:
        orgs = [await city.company(name) for name in ("甲", "乙", "丙")]
        await city.know(orgs[0], "incubated", True)
        await city.allied(*orgs)
        assert (await city.buys(orgs[0])).priced.benefit_fen == 3_500


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
