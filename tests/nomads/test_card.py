"""N1–N3: the ID is issued by days, renewed by days, and verified by anybody, with software that is none of ours."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier
from typer.testing import CliRunner

from shanhe.cli import app as shanhe
from shanhe.credentials.api import CredentialRefused, bind, present, public_jwk, revoked, verify
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.outbox import Event
from shanhe.nomads import store
from shanhe.nomads.api import Standing
from shanhe.timetable import nomad_credits

from .conftest import Town, days

RENEWABLE = "Your digital nomad ID can be renewed"


def third_party(presentation: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """A verifier that knows the issuer's keys and nothing of this city's code."""

    def key_of(issuer: str, header: dict[str, Any]) -> JWK:
        return next(JWK(**key) for key in jwks["keys"] if key["kid"] == header["kid"])

    payload: dict[str, Any] = SDJWTVerifier(presentation, key_of).get_verified_payload()
    return payload


class TestCard:
    async def test_is_refused_at_89_days_and_issued_at_90(self, town: Town) -> None:
        person = await town.nomad()
        await town.here(person, 89)
        refused = await town.ask(person)
        assert (refused.granted, [(r.zh, r.en) for r in refused.reasons]) == (False, [("还差 1 天", "1 more day")])
        town.clock.advance(days=1)
        await town.here(person, 1)
        granted = await town.nomads.apply(person, client_ref="one", actor="test")
        assert granted.granted
        assert granted.traces["N1_qualify"]["rule"] == "N1_qualify"
        assert (await town.nomads.apply(person, client_ref="one", actor="test")).id == granted.id
        card, standing = await town.nomads.cards.current(person)
        assert card is not None
        assert (standing, card.valid_from, card.valid_until) == (Standing.VALID, town.today(), date(2027, 5, 29))
        assert await town.fact(person, "nomad_id") is True
        assert await town.fact(person, "nomad_days") == 90
        who = await town.identity.people.get(person)
        assert [(c.category, c.verified) for c in who.categories] == [("nomad", True)]

    async def test_is_one_a_year_though_it_is_asked_for_in_three_windows_at_once(self, town: Town) -> None:
        person = await town.nomad()
        await town.here(person, 90)
        asked = await asyncio.gather(*(town.ask(person) for _ in range(3)))
        assert sorted(one.granted for one in asked) == [False, False, True]
        assert [{item.code for item in one.reasons} for one in asked if not one.granted] == [{"early"}] * 2
        twice = await asyncio.gather(*(town.nomads.apply(person, client_ref="twice", actor="test") for _ in range(2)))
        assert twice[0] == twice[1]
        assert len(await town.nomads.cards.list(person)) == 1

    async def test_discloses_enough_days_and_never_where(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        token = await town.nomads.cards.token(card)
        shown = present(token, ["days_at_least", "within_days"])
        said = third_party(shown, await town.credentials.jwks())
        assert (said["days_at_least"], said["within_days"]) == (90, 365)
        assert set(said) == {"iss", "vct", "iat", "nbf", "exp", "status", "days_at_least", "within_days"}
        assert third_party(token, await town.credentials.jwks())["name"] == "林晓"
        unseen = base64.b64decode(shown.split(".")[1] + "==", altchars=b"-_").decode() + shown
        assert "湖畔" not in unseen
        assert "林晓" not in unseen
        forged = shown.replace(shown.split(".")[1][:40], shown.split(".")[1][:39] + "A", 1)
        with pytest.raises(Exception, match=r"."):
            third_party(forged, await town.credentials.jwks())

    async def test_is_verified_by_the_command_without_a_city(self, town: Town, tmp_path: Path) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        file, keys, status = tmp_path / "card", tmp_path / "keys.json", tmp_path / "status"
        file.write_text(present(await town.nomads.cards.token(card), ["days_at_least"]))
        keys.write_text(json.dumps(await town.credentials.jwks()))

        def run(*more: str, at: str = town.clock.now().isoformat()) -> tuple[int, str]:
            words = ["card", "verify", str(file), "--key", str(keys), "--at", at, *more, "--json"]
            result = CliRunner().invoke(shanhe, words)
            return result.exit_code, getattr(result.exception, "code", "") or result.stdout

        code, text = run()
        assert (code, json.loads(text)["claims"]["days_at_least"]) == (0, 90)
        status.write_text(await town.credentials.status_list(1))
        assert json.loads(run("--status", str(status))[1])["status_checked"] is True
        assert run(at="2028-01-01T00:00:00+08:00") == (1, "credential_expired")
        await town.nomads.revoke(card.id, "冒名取得", actor="test")
        status.write_text(await town.credentials.status_list(1))
        assert run("--status", str(status)) == (1, "credential_revoked")
        file.write_text(file.read_text().replace(".", ".A", 1))
        assert run()[0] == 1

    async def test_renews_within_its_window_and_is_refused_at_89_days(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        town.day(card.valid_until - days(61))
        assert [r.code for r in (await town.ask(person)).reasons] == ["early", "days"]
        town.day(card.valid_until - days(87))
        await town.here(person, 89)  # up to the first day of the grace: the first year's days are out of the window
        assert (await town.nomads.cards.current(person))[1] is Standing.GRACE
        refused = await town.ask(person)
        assert (refused.kind, [(r.zh, r.en) for r in refused.reasons]) == ("renewal", [("还差 1 天", "1 more day")])
        town.clock.advance(days=1)
        await town.here(person, 1)
        assert (await town.ask(person)).granted
        renewed, standing = await town.nomads.cards.current(person)
        assert renewed is not None
        assert (renewed.year, standing) == (2, Standing.VALID)
        assert (renewed.valid_from, renewed.valid_until) == (card.valid_until + days(1), date(2028, 5, 29))
        assert await town.fact(person, "nomad_id") is True

    async def test_tells_its_holder_once_that_it_can_be_renewed(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        told = []
        for before in (61, 60, 60, 57, 20):
            town.day(card.valid_until - days(before))
            await town.nomads.tick()
            told.append([one.title.en for one in await town.notifier.inbox(person, [])].count(RENEWABLE))
        assert told == [0, 1, 1, 1, 1]

    async def test_says_no_more_that_it_can_be_renewed_once_it_was(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        town.day(card.valid_until - days(60 + 89))
        await town.here(person, 90)
        assert (await town.ask(person)).granted
        seen = await town.nomads.cards.outlook(person, actor="test")
        assert seen.card == await town.nomads.cards.get(card.id)
        assert seen.renewed is not None
        assert seen.renewed.valid_from == card.valid_until + days(1)
        await town.nomads.tick()
        assert RENEWABLE not in [one.title.en for one in await town.notifier.inbox(person, [])]
        town.day(seen.renewed.valid_from)
        assert (await town.nomads.cards.outlook(person, actor="test")).renewed is None

    async def test_is_renewed_until_the_last_day_of_grace_and_asked_for_anew_after_it(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        for late, kind, standing in ((30, "renewal", Standing.GRACE), (31, "issue", Standing.EXPIRED)):
            town.day(card.valid_until + days(late))
            seen = await town.nomads.cards.outlook(person, actor="test")
            assert (seen.kind, seen.standing) == (kind, standing)

    async def test_asks_where_one_is_insured_and_believes_the_register_first(self, town: Town) -> None:
        person = await town.nomad(insured="")
        await town.here(person, 90)
        assert [r.code for r in (await town.ask(person)).reasons] == ["undeclared"]
        await town.nomads.cards.declare(person, "杭州", actor="test")
        await town.know(await town.nomads._ground.purse(person), "social_insurance_city", "山河市")
        assert [r.code for r in (await town.ask(person)).reasons] == ["insured"]
        home = await town.nomad("本地人")
        await town.know(await town.nomads._ground.purse(home), "residence", "Shanhe")
        assert "resident" in [r.code for r in (await town.ask(home)).reasons]

    async def test_that_is_revoked_while_it_is_settled_makes_nobody_a_nomad(self, town: Town) -> None:
        """Who issues it, or repairs what a crash left, is told last of its end."""
        person = await town.carded()
        (card,) = await town.nomads.cards.list(person)

        async def verified() -> list[bool]:
            who = await town.identity.people.get(person)
            return [one.verified for one in who.categories if one.category == "nomad"]

        assert await verified() == [True]
        await town.nomads.revoke(card.id, "冒名取得", actor="test")
        await town.nomads.cards.settle(card)
        assert True not in await verified()

    async def test_whose_revocation_ended_halfway_makes_nobody_a_nomad(self, town: Town) -> None:
        person = await town.carded()
        (card,) = await town.nomads.cards.list(person)
        async with town.db.transaction() as conn:
            assert await store.revoke_card(conn, card.id, town.clock.now())
        await town.nomads.benefits.repair()
        who = await town.identity.people.get(person)
        assert not any(one.verified for one in who.categories if one.category == "nomad")

    async def test_stays_away_after_it_was_revoked(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        town.clock.advance(seconds=1)  # a correction is known later than what it corrects
        await town.nomads.revoke(card.id, "冒名取得", actor="test")
        assert await town.fact(person, "nomad_id") is None
        assert [one for one in (await town.identity.people.get(person)).categories if one.verified] == []
        assert (await town.nomads.benefits.purse(person)).left == {"attraction": 0, "night": 0, "course": 0}
        assert "revoked" in [r.code for r in (await town.ask(person)).reasons]
        with pytest.raises(ShanheError, match="Say why"):
            await town.nomads.revoke(card.id, " ", actor="test")
        assert await town.sound()
        for day, barred in ((card.valid_until, True), (card.valid_until + days(1), False)):
            town.day(day)
            seen = await town.nomads.cards.outlook(person, actor="test")
            assert ("revoked" in [reason.code for reason in seen.reasons]) is barred

    @pytest.mark.parametrize("settled", [True, False])
    async def test_that_was_revoked_leaves_no_discount_though_the_process_ended_there(
        self, town: Town, monkeypatch: pytest.MonkeyPatch, settled: bool
    ) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        await town.db.execute("UPDATE nomads.card SET settled = $1", settled)

        async def died(*_: Any, **__: Any) -> None:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(town.identity.people, "set_category", died)
            with pytest.raises(ConnectionError):
                await town.nomads.revoke(card.id, "冒名取得", actor="test")
            with pytest.raises(ConnectionError):  # nor by a tick that ended there, too
                await town.nomads.tick()
        revoked_on = town.today()
        town.clock.advance(days=3)
        assert [(await town.nomads.tick())["repaired"] for _ in range(2)] == [1, 0]
        (left,) = [one for one in (await town.identity.people.get(person)).categories if one.category == "nomad"]
        assert (left.verified, left.valid_to) == (False, max(card.valid_from, revoked_on - days(1)))
        assert (await town.nomads.revoke(card.id, "冒名取得", actor="test")).ended
        assert left in (await town.identity.people.get(person)).categories  # said again, it ended no later
        assert await town.sound()

    async def test_that_is_over_takes_nothing_from_the_next_when_it_is_revoked(self, town: Town) -> None:
        person = await town.carded()
        (first,) = await town.nomads.cards.list(person)
        town.day(first.valid_until - days(89))
        await town.here(person, 90)
        assert (await town.ask(person)).granted
        town.day(first.valid_until + days(1))
        await town.nomads.revoke(first.id, "冒名取得", actor="test")
        assert (await town.nomads.cards.current(person))[1] is Standing.VALID
        assert await town.fact(person, "nomad_id") is True

    async def test_that_is_asked_for_again_after_it_was_revoked_holds_nothing(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person = await town.nomad()
        await town.here(person, 90)

        async def died(*_: Any, **__: Any) -> None:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(town.nomads.benefits, "open", died)
            with pytest.raises(ConnectionError):
                await town.nomads.apply(person, client_ref="one", actor="test")
        (card,) = await town.nomads.cards.list(person)
        await town.nomads.revoke(card.id, "冒名取得", actor="test")
        await town.nomads.apply(person, client_ref="one", actor="test")
        assert (await town.nomads.benefits.purse(person)).left == {"attraction": 0, "night": 0, "course": 0}

    async def test_that_is_revoked_while_its_year_is_opened_holds_nothing(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, post = await town.nomad(), town.nomads.benefits._post
        await town.here(person, 90)

        async def meanwhile(*given: Any, **named: Any) -> bool:
            monkeypatch.setattr(town.nomads.benefits, "_post", post)
            (card,) = await town.nomads.cards.list(person)
            await town.nomads.revoke(card.id, "冒名取得", actor="test")
            return await post(*given, **named)

        monkeypatch.setattr(town.nomads.benefits, "_post", meanwhile)
        await town.ask(person)
        assert (await town.nomads.benefits.purse(person)).left == {"attraction": 0, "night": 0, "course": 0}
        assert await town.sound()

    async def test_whose_revocation_ended_halfway_while_its_year_was_opened_makes_nobody_a_nomad(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, post = await town.nomad(), town.nomads.benefits._post
        await town.here(person, 90)

        async def meanwhile(*given: Any, **named: Any) -> bool:
            async with town.db.transaction() as conn:
                await conn.execute("UPDATE nomads.card SET revoked_at = $1", town.clock.now())
            return await post(*given, **named)

        with monkeypatch.context() as patched:
            patched.setattr(town.nomads.benefits, "_post", meanwhile)
            await town.ask(person)
        await town.nomads.tick()
        who = await town.identity.people.get(person)
        assert not any(one.verified for one in who.categories if one.category == "nomad")
        assert (await town.nomads.benefits.purse(person)).left == {"attraction": 0, "night": 0, "course": 0}

    async def test_brings_the_yearly_credits_by_itself(self, town: Town) -> None:
        await town.fund("nomad_credit")
        person = await town.carded()

        class Services:
            identity, programmes = town.identity, town.programmes

        rows = await town.db.fetch("SELECT * FROM kernel.event WHERE topic = 'nomads.card_issued'")
        for _ in range(2):  # an event may come twice
            for row in rows:
                event = Event(row["id"], row["topic"], row["key"], row["payload"], row["created_at"])
                await nomad_credits(Services, event)  # type: ignore[arg-type]
        purse = await town.nomads._ground.purse(person)
        assert await town.balance(purse) == 1_000 * 1_000_000


class TestCredential:
    async def test_of_an_old_key_stays_verifiable(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        token = await town.nomads.cards.token(card)
        before = await town.credentials.jwks()
        kid = await town.credentials.rotate()
        after = await town.credentials.jwks()
        assert [key["kid"] for key in after["keys"]] == [kid, before["keys"][0]["kid"]]
        assert verify(token, after["keys"], at=town.clock.now()).claims["number"].startswith("N")
        with pytest.raises(CredentialRefused, match="none of the keys"):
            verify(token, after["keys"][:1], at=town.clock.now())
        second = await town.carded()
        other, _ = await town.nomads.cards.current(second)
        assert other is not None
        assert verify(await town.nomads.cards.token(other), after["keys"], at=town.clock.now()).kid == kid

    async def test_bound_to_a_holder_is_shown_by_nobody_else(self, town: Town) -> None:
        person, key = await town.nomad(), Ed25519PrivateKey.generate()
        await town.here(person, 90)
        holder = public_jwk(key.public_key().public_bytes_raw(), "mine")
        verdict = await town.nomads.apply(person, client_ref="bound", actor="test", holder=holder)
        assert verdict.card is not None
        token = await town.nomads.cards.token(await town.nomads.cards.get(verdict.card))
        keys, now = (await town.credentials.jwks())["keys"], town.clock.now()
        shown = present(token, ["days_at_least"])
        good = bind(shown, key, nonce="n1", audience="bank", at=now)
        assert verify(good, keys, at=now, audience="bank", nonce="n1").bound
        endless = bind(shown, key, nonce="n1", audience="bank", at=datetime.max.replace(tzinfo=UTC))
        stolen = bind(shown, Ed25519PrivateKey.generate(), nonce="n1", audience="bank", at=now)
        for text, audience, nonce, at in (
            (shown, "bank", "n1", now), (stolen, "bank", "n1", now), (good, "hotel", "n1", now),
            (good, "bank", "n2", now), (endless, "bank", "n1", now),
            (good, "bank", "n1", now + days(1)), (token + good.rpartition("~")[2], "bank", "n1", now),
        ):  # fmt: skip
            with pytest.raises(CredentialRefused):
                verify(text, keys, at=at, audience=audience, nonce=nonce)

    async def test_is_refused_when_it_is_not_what_was_signed(self, town: Town) -> None:
        person = await town.carded()
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        token, keys, now = (
            await town.nomads.cards.token(card),
            (await town.credentials.jwks())["keys"],
            town.clock.now(),
        )
        jwt, *disclosures, _ = token.split("~")
        made_up = json.dumps(["c2FsdA", "days_at_least", 9000]).encode()
        foreign = base64.urlsafe_b64encode(made_up).rstrip(b"=").decode()
        for text in (
            jwt, "", "~", f"{jwt}~{foreign}~", f"{jwt}~{disclosures[0]}~{disclosures[0]}~", f"{jwt}~%%~", "a.b.c~",
            jwt[:-6] + "AAAAAA~", "x" * 70_000 + "~",
        ):  # fmt: skip
            with pytest.raises(CredentialRefused):
                verify(text, keys, at=now)
        assert card.valid_from == town.today()
        with pytest.raises(CredentialRefused, match="valid from"):
            verify(token, keys, at=now - days(2))
        listed, found = await town.credentials.status_list(1), verify(token, keys, at=now)
        assert found.status is not None
        assert revoked(listed, *found.status, keys, at=now) is False
        with pytest.raises(CredentialRefused, match="too old"):
            revoked(listed, *found.status, keys, at=now + days(30))
