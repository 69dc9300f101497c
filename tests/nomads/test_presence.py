"""A day counts once, by a fresh code of a real venue; everything else is refused with what is wrong."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.kernel.errors import ShanheError
from shanhe.nomads.api import (
    VENUE,
    BadCode,
    NeedsConsent,
    NewVenue,
    NotRelied,
    TooOften,
    UnknownVenue,
    VenueTaken,
    attest,
    make_code,
)

from .conftest import Town


class TestCheckIn:
    async def test_counts_a_day_once_however_often_and_wherever(self, town: Town) -> None:
        person, one, other = await town.nomad(), await town.venue("湖畔"), await town.venue("山脚")
        first = await town.nomads.presence.check_in(person, town.nomads.venues.code(one))
        assert (first.counted, first.days, first.venue) == (True, 1, "湖畔")
        again = await town.nomads.presence.check_in(person, town.nomads.venues.link(town.nomads.venues.code(other)))
        assert (again.counted, again.days) == (False, 1)
        by_clerk = await town.nomads.presence.admit(other, await town.pass_of(person))
        assert by_clerk.counted is False
        town.clock.advance(days=1)
        assert (await town.nomads.presence.admit(other, await town.pass_of(person))).days == 2

    async def test_refuses_replays_and_clocks_that_are_off(self, town: Town) -> None:
        person, place = await town.nomad(), await town.venue()
        code = town.nomads.venues.code(place)
        town.clock.advance(seconds=121)
        with pytest.raises(BadCode, match="expired"):
            await town.nomads.presence.check_in(person, code)
        town.clock.advance(seconds=-121 - 31)
        with pytest.raises(BadCode, match="clock is ahead"):
            await town.nomads.presence.check_in(person, code)
        town.clock.advance(seconds=1)  # half a minute ahead is what clocks are
        assert (await town.nomads.presence.check_in(person, code)).counted

    async def test_refuses_what_no_open_venue_signed(self, town: Town) -> None:
        person, place, gone = await town.nomad(), await town.venue(), await town.venue("旧址")
        code, closed = town.nomads.venues.code(place), town.nomads.venues.code(gone)
        await town.nomads.venues.close(gone.id, actor="test")
        other = make_code(VENUE, place.id, town.clock.now(), Ed25519PrivateKey.generate())
        ticket = await town.pass_of(person)
        for text, reason in (
            (other, "forged"), (closed, "closed"), (code[:-4] + "AAAA", "forged"), (ticket, "other_kind"),
            ("SH1.x", "unreadable"), ("SH1.AAAA.AAAA", "unreadable"), ("你好", "unreadable"), ("", "unreadable"),
            ("x" * 5_000, "unreadable"),
        ):  # fmt: skip
            with pytest.raises(BadCode) as refused:
                await town.nomads.presence.check_in(person, text)
            assert refused.value.reason == reason

    async def test_is_limited_by_person_and_by_code(self, town: Town) -> None:
        person, place = await town.nomad(), await town.venue()
        for _ in range(20):
            with pytest.raises(BadCode):
                await town.nomads.presence.check_in(person, "SH1.guess.guess")
        with pytest.raises(TooOften):
            await town.nomads.presence.check_in(person, town.nomads.venues.code(place))
        town.clock.advance(hours=1)
        code = town.nomads.venues.code(place)
        assert (await town.nomads.presence.check_in(person, code)).counted
        await town.db.execute("UPDATE nomads.rate SET n = 59")  # of this code, and of whoever tried before
        assert (await town.nomads.presence.check_in(await town.nomad("第六十位"), code)).counted
        with pytest.raises(TooOften, match="with this code"):
            await town.nomads.presence.check_in(await town.nomad("第六十一位"), code)

    async def test_needs_the_persons_own_consent(self, town: Town) -> None:
        person, place = await town.nomad(), await town.venue()
        await town.nomads.presence.consent(person, given=False)
        for _ in range(2):
            with pytest.raises(NeedsConsent):
                await town.nomads.presence.check_in(person, town.nomads.venues.code(place))
        with pytest.raises(NeedsConsent):
            await town.nomads.presence.admit(place, await town.pass_of(person))


class TestVenue:
    async def test_is_registered_once_by_place_and_by_key(self, town: Town) -> None:
        public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        first = await town.venue("湖畔 Space", address="湖滨路 1 号", public=public)
        with pytest.raises(VenueTaken, match="name and address"):
            await town.venue("湖畔-space", address="湖滨路1号")
        with pytest.raises(VenueTaken, match="key"):
            await town.venue("山脚", public=public)
        again = NewVenue(first.name, first.kind, first.org_id, first.address, public)
        assert (await town.nomads.venues.add(again, actor="test", identifier=first.id)).id == first.id
        other = NewVenue("另一处", first.kind, first.org_id, first.address, public)
        with pytest.raises(VenueTaken, match="id belongs"):
            await town.nomads.venues.add(other, actor="test", identifier=first.id)
        await town.nomads.venues.close(first.id, actor="test")
        assert await town.venue("湖畔-space", address="湖滨路1号")

    async def test_may_keep_its_own_key_and_sign_without_the_city(self, town: Town) -> None:
        key = Ed25519PrivateKey.generate()
        place = await town.venue(public=key.public_key().public_bytes_raw())
        with pytest.raises(ShanheError, match="its own key"):
            town.nomads.venues.code(place)
        code = make_code(VENUE, place.id, town.clock.now(), key)
        assert (await town.nomads.presence.check_in(await town.nomad(), code)).counted

    async def test_is_run_by_its_own_people_only(self, town: Town) -> None:
        place, other = await town.venue(), await town.venue("别家")
        assert await town.nomads.venues.mine(place.id, await town.clerk(place)) == place
        with pytest.raises(UnknownVenue):
            await town.nomads.venues.mine(place.id, await town.clerk(other))


class TestMembership:
    async def test_is_believed_when_a_recognised_organisation_signed_it(self, town: Town) -> None:
        guild, person = await town.company("游民之家"), await town.nomad()
        key, number = Ed25519PrivateKey.generate(), (await town.nomads.presence.nomad(person)).number
        now = int(town.clock.now().timestamp())
        proof = attest(guild, number, now, now + 300 * 86_400, key)
        with pytest.raises(NotRelied, match="not on the list"):
            await town.nomads.membership.hand_in(person, proof, actor="test")
        await town.nomads.membership.recognise(guild, key.public_key().public_bytes_raw(), actor="test")
        other = attest(guild, "N00000000", now, now + 86_400, key)
        forged = attest(guild, number, now, now + 86_400, Ed25519PrivateKey.generate())
        late = attest(guild, number, now - 10 * 86_400, now - 5 * 86_400, key)
        endless = attest(guild, number, now, 2**39, key)
        for text, why in (
            (other, "another nomad"), (forged, "signature"), (late, "today"), (endless, "today"), ("a.b.c", "read"),
        ):  # fmt: skip
            with pytest.raises(NotRelied, match=why):
                await town.nomads.membership.hand_in(person, text, actor="test")
        for _ in range(2):
            await town.nomads.membership.hand_in(person, proof, actor="test")
        await town.here(person, 29)
        assert [item.zh for item in (await town.ask(person)).reasons] == ["还差 1 天"]
        town.clock.advance(days=1)
        await town.here(person, 1)
        granted = await town.ask(person)
        assert (granted.granted, granted.days_required) == (True, 30)
        await town.nomads.membership.strike(guild)
        town.clock.advance(days=1)
        assert not await town.nomads.membership.member(person, town.today())
        await town.nomads.membership.strike(guild)
        assert not await town.nomads.membership.member(person, town.today()), "struck twice brings no day back"
