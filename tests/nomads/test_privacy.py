"""Movement is sensitive: sealed, kept a month, read for a purpose, gone with the person's key."""

from __future__ import annotations

import json

import pytest

from shanhe.nomads.api import NotEligible, Proof, Purpose, VenueKind

from .conftest import Town, days


class TestPresence:
    async def test_stands_in_no_table_in_the_clear(self, town: Town) -> None:
        person, place = await town.nomad(), await town.venue("隐秘茶舍")
        await town.nomads.presence.check_in(person, town.nomads.venues.code(place))
        for table in ("day", "proof", "rate", "reading", "person"):
            rows = await town.db.fetch(f"SELECT t::text AS text FROM nomads.{table} t")
            text = "".join(row["text"] for row in rows)
            assert str(place.id) not in text
            assert "2026-03-02" not in text.replace("2026-03-02 0", "") or table in ("rate", "reading")
        assert town.logged == [("presence", {}, {"commitment": town.logged[0][2]["commitment"]})]  # type: ignore[index]

    async def test_loses_its_place_after_a_month_and_keeps_its_day(self, town: Town) -> None:
        person, place = await town.nomad(), await town.venue()
        await town.nomads.presence.check_in(person, town.nomads.venues.code(place))
        nomad = await town.nomads.presence.nomad(person)
        key = town.nomads.presence._day_key(person, town.today())
        assert await town.db.fetchval("SELECT count(*) FROM nomads.proof WHERE day_key = $1", key) == 1
        (forget,) = [row["forget_on"] for row in await town.db.fetch("SELECT forget_on FROM nomads.proof")]
        assert forget.weekday() == 0
        town.clock.advance(days=37)
        await town.nomads.tick()
        assert await town.db.fetchval("SELECT count(*) FROM nomads.proof") == 0
        assert not await town.nomads.presence.elsewhere(nomad, town.today(), place)
        assert len(await town.nomads.presence.days(person, Purpose.OWN, on=town.today(), actor="test")) == 1

    async def test_is_read_for_a_purpose_that_is_written_down(self, town: Town) -> None:
        person = await town.nomad()
        await town.here(person, 1)
        await town.ask(person)
        await town.nomads.cards.outlook(person, actor="person:me")
        read = await town.nomads.presence.readings(person)
        assert sorted((row["purpose"], row["actor"]) for row in read) == [("own", "person:me"), ("qualify", "test")]

    async def test_counts_within_a_rolling_year_only(self, town: Town) -> None:
        person = await town.nomad()
        await town.here(person, 2)
        first = town.today() - days(1)
        town.day(first + days(364))
        assert len(await town.nomads.presence.days(person, Purpose.OWN, on=town.today(), actor="t")) == 2
        town.day(first + days(365))
        assert len(await town.nomads.presence.days(person, Purpose.OWN, on=town.today(), actor="t")) == 1

    async def test_of_an_erased_person_can_no_longer_be_read(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        town.vault.destroy(person)
        assert await town.nomads.presence.days(person, Purpose.OWN, on=town.today(), actor="t") == []
        (verdict,) = await town.nomads.cards.verdicts(person)
        assert (verdict.granted, verdict.days, verdict.traces) == (True, 0, {})
        assert await town.sound()

    @pytest.mark.parametrize("told", [True, False])
    async def test_of_an_erased_person_keeps_nobodys_place_longer_and_ends_their_card(
        self, town: Town, told: bool
    ) -> None:
        """One card that could not be ended kept the round from everything after it: places, late appeals."""
        gone, other = await town.carded(), await town.nomad()
        card, _ = await town.nomads.cards.current(gone)
        assert card is not None
        await town.identity.people.erase(gone, by="test")
        if told:
            await town.nomads.forget(gone)
            await town.nomads.forget(gone)
            assert (await town.nomads.figures())["cards"] == 0
            assert (await town.nomads.credentials.get(card.credential)).revoked_at is not None
        town.clock.advance(days=330)
        await town.here(other, 1)
        assert await town.db.fetchval("SELECT count(*) FROM nomads.proof") > 0
        town.clock.advance(days=90)
        await town.nomads.tick()
        assert await town.db.fetchval("SELECT count(*) FROM nomads.proof") == 0
        ended = await town.nomads.cards.get(card.id)
        assert (ended.ended, ended.revoked_at is not None) == (True, told)
        assert await town.sound()

    async def test_of_a_suspended_person_is_no_reason_to_keep_others_either(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        ticket = (await town.nomads.benefits.purse(person)).tickets[0].code
        await town.identity.people.suspend(person, by="test")
        assert (await town.nomads.benefits.redeem(gate, ticket, companions=0, holder_present=True)).admitted == 1
        town.clock.advance(days=420)
        await town.nomads.tick()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        assert card.ended


class TestLog:
    async def test_says_how_many_and_never_who(self, town: Town) -> None:
        person, place = await town.carded(), await town.venue()
        nomad = await town.nomads.presence.nomad(person)
        for back in range(91, 94):
            with pytest.raises(NotEligible, match="too long ago"):
                await town.nomads.presence.record(nomad, town.today() - days(back), Proof.CODE, place)
        town.clock.advance(days=2)
        for back in (0, 1):
            assert await town.nomads.presence.record(nomad, town.today() - days(back), Proof.CODE, place)
        kinds = [kind for kind, _, _ in town.logged]
        assert (kinds.count("presence"), kinds.count("nomad_card")) == (3, 1)
        public = json.dumps([entry for _, entry, _ in town.logged])
        assert str(person) not in public
        assert len({entry["commitment"] for kind, _, entry in town.logged if kind == "presence" and entry}) == 3
