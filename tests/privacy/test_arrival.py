"""A resident comes by the page, is asked by a company, and joins it: pages, events and notices over the modules."""

from __future__ import annotations

import httpx

from shanhe.identity.api import Identity, NewOrganisation, OrgKind
from shanhe.kernel.ids import new_id
from shanhe.timetable import register_jobs
from stage.browsing import URL

from .conftest import PASSWORD, House


def hidden(page: str, name: str) -> str:
    return page.partition(f'name="{name}" value="')[2].partition('"')[0]


class TestArrival:
    async def test_leads_from_the_form_into_a_company_and_out_of_it(self, house: House) -> None:
        services = house.services
        identity: Identity = services.identity
        visitor = httpx.AsyncClient(transport=httpx.ASGITransport(house.site), base_url=URL, follow_redirects=True)
        page = (await visitor.get("/register")).text
        form = {name: hidden(page, name) for name in ("csrf", "id", "notice")} | {
            "name": "林晓", "login": "linxiao", "password": PASSWORD, "again": PASSWORD, "agreed": "yes",
        }  # fmt: skip
        welcome = await visitor.post("/register", data=form)
        assert (welcome.url.path, "linxiao-" in welcome.text) == ("/welcome", True)
        (made,) = await identity.registrations.list()

        owner = await house.person("owner", name="周敏")
        firm = await identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "山河数据"), owner=owner, by="test")
        async with await house.browser(owner) as browser:
            token = {"csrf": browser.headers["x-csrf-token"]}
            asked = await browser.post("/members", data={**token, "login": made.login, "role": "member"})
            assert asked.headers["location"] == "/members?done=member_invited"
            members = (await browser.get("/members")).text
        assert made.login in members
        assert "林晓" not in members  # a name is told by who joins

        register_jobs(services)
        await services.outbox.deliver_due()
        (notice,) = await services.notifier.inbox(made.person_id, [])
        assert "山河数据" in notice.title.zh
        settings = (await visitor.get(notice.link)).text
        path = settings.partition('action="/settings/invitations/')[2].partition('"')[0]
        joined = await visitor.post(
            f"/settings/invitations/{path}", data={"csrf": hidden(settings, "csrf"), "do": "accept"}
        )
        assert "您现在是该机构成员" in joined.text
        await services.outbox.deliver_due()
        assert [one.read for one in await services.notifier.inbox(made.person_id, [])] == [True]  # nothing left to do
        assert {member.person_id for member in await identity.orgs.members(firm.id)} == {owner, made.person_id}

        token = {"csrf": hidden(joined.text, "csrf")}
        left = await visitor.post(f"/settings/organisation/{firm.id}/leave", data=token)
        assert "已退出该机构" in left.text
        await services.outbox.deliver_due()
        (told,) = [one for one in await services.notifier.inbox(owner, [firm.id]) if "退出" in one.title.zh]
        assert "林晓" not in told.title.zh + told.body.zh
        await visitor.aclose()

    async def test_that_is_over_asks_for_no_answer_any_more_however_it_ended(self, house: House) -> None:
        """Taken back with its organisation, or run out: its notice is read, and nobody is told of an answer."""
        services, guest = house.services, await house.person("guest")
        identity: Identity = services.identity
        register_jobs(services)
        owner = await house.person("owner")
        for ending in ("frozen", "lapsed"):
            firm = await identity.orgs.create(NewOrganisation(OrgKind.COMPANY, ending), owner=owner, by="test")
            await identity.invitations.invite(new_id(), firm.id, guest, by="test")
            await services.outbox.deliver_due()
            assert [one.read for one in await services.notifier.inbox(guest, [])].count(False) == 1
            if ending == "frozen":
                await identity.orgs.freeze(firm.id, "an enquiry", by="test")
            else:
                house.clock.advance(days=15)
                await identity.purge()
            await services.outbox.deliver_due()
            assert False not in [one.read for one in await services.notifier.inbox(guest, [])]
            assert not [one for one in await services.notifier.inbox(owner, [firm.id]) if "邀请" in one.title.zh]

    async def test_ends_with_the_only_member_and_operators_hear_of_what_is_left(self, house: House) -> None:
        services, owner = house.services, await house.person("owner")
        register_jobs(services)
        firm = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "孤星"), owner=owner, by="test")
        await services.identity.people.erase(owner, by="test")
        await services.outbox.deliver_due()
        told = [one for one in await services.notifier.inbox(new_id(), [], operator=True) if "孤星" in one.title.zh]
        assert [one.link for one in told] == [f"/city/accounts/{firm.id}"]
