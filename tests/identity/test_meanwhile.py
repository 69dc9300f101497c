"""What happens between an asking and its answer: two officers at once, an owner who leaves, a frozen organisation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.identity.api import (
    DeclineGround,
    Identity,
    InvitationOver,
    LastOfItsKind,
    NewKey,
    OrgTakesNobody,
    PermissionMissing,
    PersonState,
    Registering,
    RegistrationOff,
    RegistrationOver,
    RegistrationState,
    Role,
    Unknown,
)
from shanhe.identity.service import registrations
from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.identity.service.registrations import WAIT_DAYS
from shanhe.identity.store import arrivals, orgs, people
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id

from .conftest import PASSWORD, City
from .test_arrival import HERE, form, opened

LOOKS_MAX = 1_000


async def somebody_waits(city: City) -> None:
    """Until one connection waits for what another has locked."""
    for _ in range(LOOKS_MAX):
        if await city.db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waited")


def pausing(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> tuple[asyncio.Event, asyncio.Event]:
    """The statement runs, then its transaction stays open: events that it was reached, and that it may go on."""
    reached, go_on, real = asyncio.Event(), asyncio.Event(), getattr(module, name)

    async def paused(*given: Any, **named: Any) -> Any:
        done = await real(*given, **named)
        reached.set()
        await go_on.wait()
        return done

    monkeypatch.setattr(module, name, paused)
    return reached, go_on


async def declining(identity: Identity, registration: UUID) -> object:
    try:
        await identity.registrations.decline(registration, DeclineGround.NAME, by="test")
    except Conflict as error:
        return error.code
    return None


async def lapsing(identity: Identity, registration: UUID) -> object:
    return await identity.registrations.lapse()


class TestTwoOfficers:
    @pytest.mark.parametrize(("end", "said"), [(declining, "registration_open"), (lapsing, 0)])
    async def test_never_erase_what_the_other_opened(
        self,
        city: City,
        monkeypatch: pytest.MonkeyPatch,
        end: Callable[[Identity, UUID], Awaitable[object]],
        said: object,
    ) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = await identity.registrations.register(form(), HERE)
        city.clock.advance(days=WAIT_DAYS, seconds=1)
        with monkeypatch.context() as patch:
            reached, go_on = pausing(patch, arrivals, "settle")
            approving = asyncio.create_task(identity.registrations.approve(made.id, by="test"))
            await reached.wait()
            ending = asyncio.create_task(end(identity, made.id))  # type: ignore[arg-type]
            await somebody_waits(city)
            go_on.set()
            assert (await approving).state is RegistrationState.OPEN
            assert await ending == said
        await identity.sign_in(made.login, PASSWORD)
        actions = {row.action for row in await identity.audit()}
        assert actions.isdisjoint({"registration.decline", "registration.lapse", "person.erase"})

    async def test_never_open_what_the_other_declined(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = await identity.registrations.register(form(), HERE)
        with monkeypatch.context() as patch:
            reached, go_on = pausing(patch, people, "erase")
            ending = asyncio.create_task(declining(identity, made.id))
            await reached.wait()
            approving = asyncio.create_task(identity.registrations.approve(made.id, by="test"))
            await somebody_waits(city)
            go_on.set()
            with pytest.raises(RegistrationOver):
                await approving
            assert await ending is None
        assert (await identity.people.get(made.person_id)).state is PersonState.ERASED

    async def test_are_told_what_became_of_it(self, city: City) -> None:
        identity = opened(city, Registering.APPROVAL)
        sent = form()
        made = await identity.registrations.register(sent, HERE)
        await identity.registrations.decline(made.id, DeclineGround.NAME, by="test")
        await identity.registrations.decline(made.id, DeclineGround.NAME, by="test")  # again changes nothing
        for act in (identity.registrations.approve(made.id, by="test"), identity.registrations.register(sent, HERE)):
            with pytest.raises(RegistrationOver):
                await act
        lapsed = await identity.registrations.register(form("second"), HERE)
        city.clock.advance(days=WAIT_DAYS, seconds=1)
        await identity.purge()
        with pytest.raises(RegistrationOver):
            await identity.registrations.decline(lapsed.id, DeclineGround.NAME, by="test")
        with pytest.raises(Unknown):
            await identity.registrations.decline(new_id(), DeclineGround.NAME, by="test")
        assert [row.action for row in await identity.audit()].count("registration.decline") == 1


class TestRegistering:
    async def test_at_once_fills_no_more_places_than_there_are(
        self, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identity = opened(city, Registering.APPROVAL)
        monkeypatch.setattr(registrations, "WAITING_MAX", 1)
        done = await asyncio.gather(
            *(identity.registrations.register(form(name), HERE) for name in ("one", "two", "three")),
            return_exceptions=True,
        )
        assert sum(isinstance(one, RegistrationOff) for one in done) == 2
        assert len(await identity.registrations.list()) == 1
        assert len(list((tmp_path / "keys" / "people").rglob("*.key"))) == 1

    async def test_twice_at_once_opens_one_account_with_one_organisation(self, city: City) -> None:
        identity, sent = opened(city), form()
        first, second = await asyncio.gather(*(identity.registrations.register(sent, HERE) for _ in range(2)))
        assert first == second
        assert await city.db.fetchval("SELECT count(*) FROM identity.organisation") == 1

    async def test_says_so_when_it_ended_while_it_was_sent_again(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identity = opened(city)

        async def known_by_then(*_: object) -> None:
            return None

        monkeypatch.setattr(identity.registrations, "_open", known_by_then)
        with pytest.raises(RegistrationOver):
            await identity.registrations.register(form(), HERE)


class TestRegistrationPages:
    async def test_skip_nobody_whoever_is_decided_in_between(self, city: City) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = []
        for number in range(6):
            made.append((await identity.registrations.register(form(f"n{number}"), HERE)).id)
            city.clock.advance(seconds=60 * (number % 2))  # some at the same moment
        for one in (made[5], made[3]):
            await identity.registrations.approve(one, by="test")
        await city.person("operator", Role.OPERATOR)
        async with city.browser(await city.sign_in("operator")) as officer:
            seen: list[str] = []
            path = "/api/registrations?limit=2"
            page = (await officer.get(path)).json()
            while True:
                seen += [row["id"] for row in page["data"]]
                if page["next"] is None:
                    break
                if len(seen) == 2:  # the very row that the next page goes on from
                    await identity.registrations.decline(UUID(seen[-1]), DeclineGround.NAME, by="test")
                page = (await officer.get(path, params={"limit": 2, "after": page["next"]})).json()
            assert sorted(seen) == sorted(map(str, made))
            assert [UUID(one) for one in seen][-2:] == [made[5], made[3]]  # those that wait came first
            for wrong in ("x", "waiting.now.x", "1"):
                assert (await officer.get("/api/registrations", params={"after": wrong})).status_code == 422


class TestInvitationOfAnOwner:
    async def asked(self, city: City, by: str = "") -> tuple[UUID, UUID, UUID, UUID]:
        """Organisation, the owner who asks (there is another), the invited, the invitation."""
        owner, org = await city.member("owner")
        other = await city.person("other")
        await city.identity.orgs.set_member(org.id, other.id, Role.OWNER, by="test")
        guest = await city.person("guest")
        asked = await city.identity.invitations.invite(
            new_id(), org.id, guest.id, Role.OWNER, by=by or f"person:{owner.id}"
        )
        return org.id, owner.id, guest.id, asked.id

    @pytest.mark.parametrize("fall", ["removed", "demoted", "suspended", "erased"])
    async def test_ends_with_the_owners_power(self, city: City, fall: str) -> None:
        org, owner, guest, asked = await self.asked(city)
        identity = city.identity
        await {
            "removed": lambda: identity.orgs.remove_member(org, owner, by="test"),
            "demoted": lambda: identity.orgs.set_member(org, owner, Role.MEMBER, by="test"),
            "suspended": lambda: identity.people.suspend(owner, by="test"),
            "erased": lambda: identity.people.erase(owner, by="test"),
        }[fall]()
        assert await identity.invitations.of_person(guest) == []
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked, guest, by="test")
        with pytest.raises(PermissionMissing):  # who was let in by the door just before
            await identity.invitations.invite(new_id(), org, guest, by=f"person:{owner}")

    async def test_of_their_own_company_stays_when_a_city_role_is_taken_back(self, city: City) -> None:
        org, owner, guest, asked = await self.asked(city)
        identity = city.identity
        await identity.people.grant(owner, Role.OPERATOR, by="test")
        other = await city.org("别家")
        theirs = await identity.invitations.invite(new_id(), other.id, guest, by=f"person:{owner}")
        await identity.people.grant(owner, Role.ADMIN, by="test")
        await city.person("second", Role.ADMIN)
        await identity.people.withdraw(owner, Role.ADMIN, by="test")  # an operator still
        assert len(await identity.invitations.of_person(guest)) == 2
        await identity.people.withdraw(owner, Role.OPERATOR, by="test")
        assert [one.id for one in await identity.invitations.of_person(guest)] == [asked]
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(theirs.id, guest, by="test")
        await identity.invitations.accept(asked, guest, by="test")
        assert await identity.orgs.is_member(org, guest)

    async def test_counts_for_nothing_where_nobody_took_it_back(self, city: City) -> None:
        """As one from before it was taken back along with its owner."""
        _, owner, guest, asked = await self.asked(city)
        await city.db.execute("DELETE FROM identity.membership WHERE person_id = $1", owner)
        with pytest.raises(InvitationOver):
            await city.identity.invitations.accept(asked, guest, by="test")
        assert await city.identity.orgs.of_person(guest) == []

    async def test_ends_with_the_key_that_was_used(self, city: City) -> None:
        owner, org = await city.member("owner")
        identity = city.identity
        key, token = await identity.create_key(org.id, NewKey("office"), by=f"person:{owner.id}")
        guest = await city.person("guest")
        asked = await identity.invitations.invite(new_id(), org.id, guest.id, by=f"key:{key.id}")
        await identity.report_leak(token, "scanner")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked.id, guest.id, by="test")

    async def test_ends_when_its_organisation_is_frozen(self, city: City) -> None:
        org, owner, guest, asked = await self.asked(city)
        identity = city.identity
        await identity.orgs.freeze(org, "an enquiry", by="test")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked, guest, by="test")
        with pytest.raises(OrgTakesNobody):
            await identity.invitations.invite(new_id(), org, guest, by=f"person:{owner}")
        await identity.orgs.unfreeze(org, by="test")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked, guest, by="test")
        again = await identity.invitations.invite(new_id(), org, guest, by=f"person:{owner}")
        await city.db.execute(
            "UPDATE identity.organisation SET state = 'frozen', frozen_reason = 'x' WHERE id = $1", org
        )
        with pytest.raises(OrgTakesNobody):
            await identity.invitations.accept(again.id, guest, by="test")

    async def test_brings_nobody_back_who_was_removed_nor_higher_than_an_operator_set(self, city: City) -> None:
        org, _, guest, asked = await self.asked(city)
        identity = city.identity
        await identity.orgs.set_member(org, guest, Role.MEMBER, by="test")
        with pytest.raises(InvitationOver):  # it would make an owner
            await identity.invitations.accept(asked, guest, by="test")
        await identity.orgs.remove_member(org, guest, by="test")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked, guest, by="test")
        assert await identity.orgs.of_person(guest) == []

    async def test_is_not_accepted_by_who_is_erased_at_that_moment(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        org, _, guest, asked = await self.asked(city)
        identity = city.identity
        with monkeypatch.context() as patch:
            reached, go_on = pausing(patch, people, "erase")
            erasing = asyncio.create_task(identity.people.erase(guest, by="test"))
            await reached.wait()
            accepting = asyncio.create_task(identity.invitations.accept(asked, guest, by="test"))
            await somebody_waits(city)
            go_on.set()
            await erasing
            with pytest.raises(Unknown):
                await accepting
        assert guest not in {member.person_id for member in await identity.orgs.members(org)}


class TestLeaving:
    async def test_is_ones_own_and_ends_every_right(self, city: City) -> None:
        owner, org = await city.member("owner")
        guest = await city.person("guest")
        identity = city.identity
        asked = await identity.invitations.invite(new_id(), org.id, guest.id, by=f"person:{owner.id}")
        await identity.invitations.accept(asked.id, guest.id, by="test")
        opened(city)
        async with city.browser(await city.sign_in("guest")) as browser:
            assert (await browser.get(f"/api/orgs/{org.id}/members")).status_code == 200
            path = f"/api/identity/me/organisations/{org.id}"
            assert (await browser.delete(path)).json() == {"left": str(org.id)}
            assert (await browser.get(f"/api/orgs/{org.id}/members")).status_code == 404
            assert (await browser.delete(path)).status_code == 404
        assert "member.leave" in {row.action for row in await city.identity.audit()}

    async def test_is_not_for_the_last_owner_nor_from_oneself(self, city: City) -> None:
        owner, org = await city.member("owner")
        own = await city.identity.orgs.create_personal(owner.id, by="test")
        with pytest.raises(LastOfItsKind):
            await city.identity.orgs.leave(org.id, owner.id, by="test")
        with pytest.raises(Invalid):
            await city.identity.orgs.leave(own.id, owner.id, by="test")
        assert len(await city.identity.orgs.of_person(owner.id)) == 2


class TestPersonalOrganisation:
    async def test_tells_nobody_who_signs_in_here(self, city: City) -> None:
        identity = opened(city)
        await city.person("neighbour")
        owner = await city.person("owner")
        own = await identity.orgs.create_personal(owner.id, by="test")
        async with city.browser(await city.sign_in("owner")) as browser:
            answers = [
                await browser.post(f"/api/orgs/{own.id}/invitations", json={"id": str(new_id()), "login": name})
                for name in ("neighbour", "nobody") * FREE_FAILURES["member"]
            ]
        assert {answer.status_code for answer in answers} == {422}
        assert len({answer.text for answer in answers}) == 1


class TestKey:
    async def test_that_is_rotated_while_its_leak_is_reported_is_revoked(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Either had locked what the other wanted next, and the database ended one of the two."""
        org = await city.org()
        key, token = await city.identity.keys.create(org.id, NewKey("ci"), by="test")
        with monkeypatch.context() as patch:
            reached, go_on = pausing(patch, orgs, "get")
            reporting = asyncio.create_task(city.identity.keys.report_leak(token, "somebody"))
            await reached.wait()
            rotating = asyncio.create_task(city.identity.keys.rotate(key.id, org.id, by="test"))
            await somebody_waits(city)
            go_on.set()
            assert await reporting is not None
            with pytest.raises(Conflict, match="revoked"):
                await rotating
        assert (await city.identity.keys.get(key.id)).revoked_reason == "leaked"
