"""Whoever leaves an organisation takes no way in along, and nothing of theirs goes on unseen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.doors.town import BY, Town

from shanhe.identity.api import Actor, Fate, KeyRevoked, NewKey, OrgFrozen, Role, Unknown
from shanhe.kernel.notify import Severity
from shanhe.timetable import _subscribe
from workflows.house import flow, says

KINDS = ["hook", "key", "schedule", "webhook"]
GRACE_S = 3_600


@dataclass
class Firm:
    """A company with an owner, and a member who made one of everything that goes on by itself."""

    town: Town
    owner: UUID
    leaver: UUID
    token: str
    hook: UUID
    place: UUID

    @property
    def org(self) -> UUID:
        return self.town.company

    async def remove(self, visitor: httpx.AsyncClient, **said: Any) -> httpx.Response:
        return await visitor.delete(f"/api/orgs/{self.org}/members/{self.leaver}", params=said)

    async def left(self, visitor: httpx.AsyncClient) -> list[dict[str, Any]]:
        found = (await visitor.get(f"/api/orgs/{self.org}/left")).json()["data"]
        assert isinstance(found, list)
        return found

    async def calls(self, token: str) -> bool:
        try:
            await self.town.identity.caller(token)
        except KeyRevoked:
            return False
        return True


@pytest.fixture
async def firm(town: Town) -> Firm:
    services, org = town.services, town.company
    owner, leaver = await town.person(org=org), await town.person(org=org, role=Role.MEMBER)
    acting = Actor(leaver, None, org, frozenset({Role.MEMBER}), frozenset({"keys", "publish", "usage"}))
    key, token = await town.identity.create_key(org, NewKey("ci", permissions=frozenset({"usage"})), by=acting)
    by_key = f"key:{key.id}"  # what is made with a key is its maker's
    place = await services.webhooks.add(org, url="https://leaver.example/in", by=by_key)
    workflows = services.routines.workflows
    await workflows.create("flow", "流程", org_id=org, by=acting.ref)
    await workflows.save(org, "flow", flow(says("x", "x")), by=acting.ref)
    await workflows.publish(org, "flow")
    await workflows.set_schedule(org, "flow", {"every_minutes": 60}, {}, by=acting.ref, key_id=key.id)
    hook, _ = await workflows.add_hook(org, "flow", by=by_key, key_id=key.id)
    await town.identity.create_key(org, NewKey("by the city"), by=BY)
    return Firm(town, owner, leaver, token, hook.id, place.id)


class TestLeaver:
    async def test_is_not_removed_before_it_is_said_what_becomes_of_what_they_made(self, firm: Firm) -> None:
        async with await firm.town.browser(firm.owner) as owner:
            refused = await firm.remove(owner)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "leaves_behind")
            assert await firm.town.identity.orgs.is_member(firm.org, firm.leaver)
            mine = await owner.get(f"/api/orgs/{firm.org}/left", params={"person": str(firm.leaver)})
            assert sorted(one["kind"] for one in mine.json()["data"]) == KINDS
            assert await firm.left(owner) == []

    async def test_leaves_nothing_that_works_when_all_of_it_ends(self, firm: Firm) -> None:
        services = firm.town.services
        async with await firm.town.browser(firm.owner) as owner:
            done = (await firm.remove(owner, left="end")).json()
            assert sorted((one["kind"], one["fate"]) for one in done["left"]) == [(kind, "end") for kind in KINDS]
            assert await firm.left(owner) == []
        assert not await firm.calls(firm.token)
        assert await services.webhooks.of(firm.org) == []
        assert await services.routines.workflows.triggers(firm.org) == []
        kept = {one.name for one in await services.identity.keys.list(firm.org) if one.revoked_at is None}
        assert kept == {"by the city"}

    async def test_knows_no_secret_of_what_is_taken_over(self, firm: Firm) -> None:
        services = firm.town.services
        before = await services.webhooks.one(firm.org, firm.place)
        await services.webhooks.rotate(firm.org, firm.place)  # a turn of their own a moment ago changes nothing
        known = (await services.webhooks.one(firm.org, firm.place)).secret
        async with await firm.town.browser(firm.owner) as owner:
            done = {one["kind"]: one for one in (await firm.remove(owner, left="take")).json()["left"]}
            assert await firm.left(owner) == []
        assert not await firm.calls(firm.token)
        assert await firm.calls(done["key"]["secret"])
        assert done["webhook"]["secret"] not in (before.secret, known)
        assert done["hook"]["id"] != str(firm.hook)
        triggers = await services.routines.workflows.triggers(firm.org)
        assert {one.made_by for one in triggers} == {f"person:{firm.owner}"}
        house = await services.identity.keys.house(firm.org, "~workflows", by="workflows")
        paying = await services.db.fetch(
            "SELECT key_id FROM workflows.schedule UNION SELECT key_id FROM workflows.hook WHERE revoked_at IS NULL"
        )
        assert [row["key_id"] for row in paying] == [house]

    async def test_whose_key_is_needed_still_may_be_given_some_time(self, firm: Firm) -> None:
        async with await firm.town.browser(firm.owner) as owner:
            await firm.remove(owner, left="later")
            path = {
                one["kind"]: f"/api/orgs/{firm.org}/left/{one['kind']}/{one['id']}" for one in await firm.left(owner)
            }
            taken = await owner.post(path["key"], json={"fate": "take", "grace_s": GRACE_S})
            assert await firm.calls(firm.token)
            assert await firm.calls(taken.json()["secret"])
            assert (await owner.post(path["schedule"], json={"fate": "end"})).json()["fate"] == "end"
            assert sorted(one["kind"] for one in await firm.left(owner)) == ["hook", "webhook"]
            assert (await owner.post(path["schedule"], json={"fate": "end"})).status_code == 404

    async def test_who_goes_by_themselves_is_told_of_to_those_who_stay(self, firm: Firm) -> None:
        services = firm.town.services
        await services.identity.orgs.leave(firm.org, firm.leaver, by=f"person:{firm.leaver}")
        await self.told(firm)
        (notice,) = [
            one for one in await services.notifier.inbox(firm.owner, [firm.org]) if one.kind == "identity.member"
        ]
        assert notice.link == "/members#left"
        async with await firm.town.browser(firm.owner) as owner:
            assert sorted(one["kind"] for one in await firm.left(owner)) == KINDS

    async def test_who_is_erased_leaves_it_listed_too(self, firm: Firm) -> None:
        services = firm.town.services
        await services.identity.people.erase(firm.leaver, by="test")
        await self.told(firm)
        async with await firm.town.browser(firm.owner) as owner:
            assert sorted(one["kind"] for one in await firm.left(owner)) == KINDS
            page = (await owner.get("/members", headers={"accept": "text/html"})).text
            assert 'id="left"' in page

    async def test_takes_the_keys_of_their_sessions_along(self, firm: Firm) -> None:
        services = firm.town.services
        acting = Actor(firm.leaver, None, firm.org, frozenset({Role.MEMBER}), frozenset({"keys"}))
        play, token = await services.identity.create_key(firm.org, NewKey("~playground"), by=acting, own=True)
        left = await services.leavings.of(firm.org, firm.leaver)
        assert play.id not in {one.id for one in left}
        async with await firm.town.browser(firm.owner) as owner:
            await firm.remove(owner, left="later")
        await self.told(firm)
        assert not await firm.calls(token)

    async def test_and_others_settle_nothing(self, firm: Firm) -> None:
        services = firm.town.services
        async with await firm.town.browser(firm.leaver) as member:
            assert (await member.get(f"/api/orgs/{firm.org}/left")).status_code == 403
        other = await firm.town.organisation("别处")
        stranger = await firm.town.person(org=other)
        async with await firm.town.browser(stranger) as visitor:
            path = f"/api/orgs/{firm.org}/left/webhook/{firm.place}"
            assert (await visitor.post(path, json={"fate": "end"})).status_code == 404
            elsewhere = f"/api/orgs/{other}/left/webhook/{firm.place}"
            assert (await visitor.post(elsewhere, json={"fate": "end"})).status_code == 404
        with pytest.raises(Unknown):  # of a member who stays nothing is left behind
            await services.leavings.settle(firm.org, "webhook", firm.place, Fate.END, by="test")  # type: ignore[arg-type]

    async def test_goes_even_where_something_can_not_be_settled(self, firm: Firm, monkeypatch: Any) -> None:
        async def refuse(*_: Any, **__: Any) -> None:
            raise OrgFrozen()

        monkeypatch.setattr(firm.town.services.webhooks, "remove", refuse)
        async with await firm.town.browser(firm.owner) as owner:
            done = (await firm.remove(owner, left="end")).json()["left"]
            assert [one["problem"] for one in done if one["kind"] == "webhook"] == ["organisation_frozen"]
            assert [one["kind"] for one in await firm.left(owner)] == ["webhook"]
        assert not await firm.calls(firm.token)

    async def test_is_warned_of_only_where_something_of_theirs_goes_on(self, firm: Firm) -> None:
        services, org = firm.town.services, firm.org
        other = await firm.town.person(org=org, role=Role.MEMBER)
        await services.identity.orgs.leave(org, other, by=f"person:{other}")
        await self.told(firm)
        (notice,) = [one for one in await services.notifier.inbox(firm.owner, [org]) if one.kind == "identity.member"]
        assert (notice.severity, notice.link) == (Severity.INFO, "/members")

    async def test_does_not_go_on_with_a_key_that_they_rotated_the_day_before(self, firm: Firm) -> None:
        keys = firm.town.identity.keys
        (old,) = [key for key in await keys.told(firm.org) if key.name == "ci"]
        acting = Actor(firm.leaver, None, firm.org, frozenset({Role.MEMBER}), frozenset({"keys", "usage"}))
        new, token = await keys.rotate(old.id, firm.org, grace_s=30 * 86_400, by=acting)
        async with await firm.town.browser(firm.owner) as owner:
            await firm.remove(owner, left="later")
            assert {UUID(one["id"]) for one in await firm.left(owner) if one["kind"] == "key"} == {old.id, new.id}
            path = f"/api/orgs/{firm.org}/left/key"
            cut = await owner.post(f"{path}/{old.id}", json={"fate": "take", "grace_s": GRACE_S})
            assert cut.json()["fate"] == "later"
            ends = (await keys.get(old.id)).expires_at
            assert ends is not None
            assert ends <= firm.town.services.clock.now() + timedelta(seconds=GRACE_S)
            assert (await owner.post(f"{path}/{old.id}", json={"fate": "take"})).json()["fate"] == "end"
            assert (await owner.post(f"{path}/{new.id}", json={"fate": "take"})).json()["fate"] == "take"
        assert not await firm.calls(firm.token)
        assert not await firm.calls(token)

    async def test_takes_over_nothing_of_their_own(self, firm: Firm) -> None:
        services = firm.town.services
        await services.identity.orgs.set_member(firm.org, firm.leaver, Role.OWNER, by="test")
        async with await firm.town.browser(firm.leaver) as leaver:
            refused = await firm.remove(leaver, left="take")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "takes_own")
            assert (await firm.remove(leaver, left="later")).status_code == 200
        await self.told(firm)
        notices = [one for one in await services.notifier.inbox(firm.owner, [firm.org])
                   if one.kind == "identity.member"]  # fmt: skip
        assert [one.link for one in notices] == ["/members#left"]

    async def told(self, firm: Firm) -> None:
        _subscribe(firm.town.services)
        while await firm.town.services.outbox.deliver_due():
            pass
