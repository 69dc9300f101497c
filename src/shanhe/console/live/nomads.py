"""Nomads, their venues and the city's desk for them, over nomads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.console import model as m
from shanhe.console.live.modules import actor_of, unnamed
from shanhe.credentials.api import present
from shanhe.identity.api import Identity, Unknown
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import format_fen, parse_yuan
from shanhe.nomads.api import (
    NewVenue,
    Nomads,
    Scan,
    VenueKind,
    appeal_view,
    card_view,
    check_in_view,
    feed_view,
    outlook_view,
    place_view,
    purse_view,
    settled_view,
    venue_view,
)

SHOWN: Final = ("days_at_least", "within_days")
TALLY_DAYS: Final = 14
KEY_BYTES: Final = 32
Words = Mapping[str, str]


class LiveNomads:
    """See `ports.NomadDesk`."""

    def __init__(self, nomads: Nomads, identity: Identity) -> None:
        self._nomads = nomads
        self._identity = identity

    # -- nomads -------------------------------------------------------------------------------------------------------

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        nomads, person = self._nomads, who.person_id
        seen = await nomads.cards.outlook(person, actor=actor_of(who).ref)
        opens = nomads.cards.renewal_opens(seen.renewed or seen.card) if seen.card is not None else None
        return {
            **outlook_view(seen), "number": (await nomads.presence.nomad(person)).number, "renewal_opens": opens,
            "notice": nomads.presence.notice(), "consent": await nomads.presence.consented(person),
            "appeals": [appeal_view(one) for one in await nomads.appeals.of(person)],
            "refusal": await self._refusal(person),
        }  # fmt: skip

    async def _refusal(self, person: UUID) -> UUID | None:
        """The last decision, when it is a refusal that was not appealed."""
        last = next(iter(await self._nomads.cards.verdicts(person)), None)
        appealed = {one.decision for one in await self._nomads.appeals.of(person)}
        return last.id if last is not None and not last.granted and last.id not in appealed else None

    async def appeal(self, who: m.Who, fields: Mapping[str, str]) -> None:
        days = [date.fromisoformat(text) for text in re.split(r"[\s,，、;；]+", fields.get("days", "")) if text]
        await self._nomads.appeals.file(
            who.person_id, UUID(fields.get("decision", "")), why=fields.get("why", ""), days=days,
            evidence=fields.get("evidence", ""), appeal_id=UUID(fields.get("id", "")),
        )  # fmt: skip

    async def decide_appeal(self, who: m.Who, appeal_id: UUID, *, uphold: bool, answer: str) -> None:
        await self._nomads.decide_appeal(appeal_id, who.person_id, uphold=uphold, answer=answer)

    async def consent(self, who: m.Who, given: bool) -> None:
        await self._nomads.presence.consent(who.person_id, given=given)

    async def declare(self, who: m.Who, city: str) -> None:
        await self._nomads.cards.declare(who.person_id, city, actor=actor_of(who).ref)

    async def check_in(self, who: m.Who, code: str) -> Mapping[str, Any]:
        return check_in_view(await self._nomads.presence.check_in(who.person_id, code))

    async def membership(self, who: m.Who, proof: str) -> None:
        await self._nomads.membership.hand_in(who.person_id, proof, actor=actor_of(who).ref)

    async def apply(self, who: m.Who, client_ref: str) -> bool:
        verdict = await self._nomads.apply(who.person_id, client_ref=client_ref, actor=actor_of(who).ref)
        return verdict.granted

    async def card(self, who: m.Who) -> Mapping[str, Any]:
        """The latest card, what a verifier sees of it, and the pass for today's gate."""
        found, standing = await self._nomads.cards.current(who.person_id)
        nomad = await self._nomads.presence.nomad(who.person_id)
        shown = {"number": nomad.number, "pass_code": self._nomads.presence.pass_code(nomad), "card": None}
        if found is None:
            return shown
        token = await self._nomads.cards.token(found)
        renewed = await self._nomads.cards.renewed(who.person_id)
        return {
            **shown,
            "card": card_view(found, str(standing)),
            "until": (renewed or found).valid_until,
            "shown": present(token, SHOWN),
            "token": token,
        }

    async def places(self) -> Sequence[Mapping[str, Any]]:
        return [place_view(venue) for venue in await self._nomads.venues.open()]

    async def purse(self, who: m.Who) -> Mapping[str, Any]:
        return purse_view(await self._nomads.benefits.purse(who.person_id))

    # -- venues -------------------------------------------------------------------------------------------------------

    async def venues(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [venue_view(item) for item in await self._nomads.venues.of(actor_of(who))]

    async def venue(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        return {**venue_view(venue), "tallies": await self._nomads.tallies(venue.id, TALLY_DAYS)}

    async def screen(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        code = self._nomads.venues.code(venue)
        return {**venue_view(venue), "code": code, "link": self._nomads.venues.link(code)}

    async def kit(self, who: m.Who, venue_id: UUID) -> Mapping[str, Any]:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        keys = (await self._nomads.credentials.jwks())["keys"]
        return {**await self._nomads.offline.kit(venue), "keys": keys}

    async def report(self, who: m.Who, venue_id: UUID, scans: str) -> Sequence[Mapping[str, Any]]:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        try:
            found = msgspec.json.decode(scans, type=list[Scan])
        except (msgspec.DecodeError, RecursionError):
            raise Invalid("bad_scans", "These scans can't be read.", message_zh="无法识别扫码记录。") from None
        if any(scan.at.tzinfo is None for scan in found):
            raise Invalid("bad_scans", "A scan's time needs its zone.", message_zh="扫码时间须带时区。")
        return [settled_view(item) for item in await self._nomads.offline.sync(venue, found)]

    async def gate(self, who: m.Who, venue_id: UUID, fields: Mapping[str, str]) -> Words:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        code, benefits = fields.get("code", ""), self._nomads.benefits
        match fields.get("action", ""):
            case "admit":
                seen = await self._nomads.presence.admit(venue, code)
                if seen.counted:
                    return _words("已签到，今日计入", "Checked in; today counts")
                return _words("今日此前已计入", "Today counted before")
            case "redeem":
                used = await benefits.redeem(venue, code, companions=_whole(fields, "companions"),
                                             holder_present=fields.get("present") == "on")  # fmt: skip
                return _words(f"已核销第 {used.number} 张，入园 {used.admitted} 人",
                              f"Ticket {used.number} used, {used.admitted} admitted")  # fmt: skip
            case "pay":
                paid = await benefits.pay(venue, code, parse_yuan(fields.get("amount", "")))
                return _words(
                    f"已收消费券 ¥ {format_fen(paid.fen)}", f"CNY {format_fen(paid.fen)} of vouchers received"
                )
            case "course":
                taken = await benefits.course(venue, code, parse_yuan(fields.get("amount", "")))
                return _words(
                    f"补贴 ¥ {format_fen(taken.subsidy_fen)}，学员实付 ¥ {format_fen(taken.pays_fen)}",
                    f"Subsidy CNY {format_fen(taken.subsidy_fen)}, the learner pays {format_fen(taken.pays_fen)}",
                )
            case "stay":
                stay = await benefits.stay(venue, code, _whole(fields, "nights"))
                return _words(f"已登记，本年还余 {stay.left} 晚", f"Noted; {stay.left} nights are left this year")
        raise Invalid("bad_action", "A gate does not do that.", message_zh="不支持该操作。")

    async def feed(self, who: m.Who, venue_id: UUID, data: bytes) -> Mapping[str, Any]:
        venue = await self._nomads.venues.mine(venue_id, actor_of(who))
        return feed_view(await self._nomads.feeds.run(venue, data))

    # -- operators ----------------------------------------------------------------------------------------------------

    async def operations(self, who: m.Who) -> Mapping[str, Any]:
        venues, organisations = await self._nomads.venues.list(), await self._nomads.membership.list()
        called = await self._identity.orgs.names(
            {*(item.org_id for item in venues), *(row["org_id"] for row in organisations)}
        )
        return {
            "figures": await self._nomads.figures(),
            "appeals": [appeal_view(one) for one in await self._nomads.appeals.open()],
            "venues": [{**venue_view(item), "org": called.get(item.org_id) or unnamed(item.org_id)} for item in venues],
            "organisations": [
                {**dict(row), "name": called.get(row["org_id"]) or unnamed(row["org_id"])} for row in organisations
            ],
        }  # fmt: skip

    async def venue_add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        org = await self._org(fields.get("org", ""))
        key = fields.get("public_key", "")
        new = NewVenue(fields.get("name", ""), VenueKind(fields.get("kind", "")), org, fields.get("address", ""),
                       _key(key) if key else None, fields.get("certified") == "on")  # fmt: skip
        identifier = UUID(fields["id"]) if fields.get("id") else None
        await self._nomads.venues.add(new, actor=actor_of(who).ref, identifier=identifier)

    async def venue_close(self, who: m.Who, venue_id: UUID) -> None:
        await self._nomads.venues.close(venue_id, actor=actor_of(who).ref)

    async def venue_certify(self, who: m.Who, venue_id: UUID) -> None:
        await self._nomads.venues.ask_to_certify(venue_id, actor=actor_of(who).ref)

    async def venue_uncertify(self, who: m.Who, venue_id: UUID, reason: str) -> None:
        await self._nomads.venues.end_certificate(venue_id, reason)

    async def recognise(self, who: m.Who, org: str, public_key: str) -> None:
        await self._nomads.membership.recognise(await self._org(org), _key(public_key), actor=actor_of(who).ref)

    async def _org(self, word: str) -> UUID:
        """An organisation by id, registration number or exact name."""
        try:
            return (await self._identity.orgs.get(UUID(word))).id
        except ValueError:
            pass
        found = await self._identity.orgs.by_registration(word) if word else None
        named = [org for org in await self._identity.orgs.list(find=word) if org.name == word] if word else []
        if found is not None:
            return found.id
        if len(named) == 1:
            return named[0].id
        raise Unknown("organisation", "机构")


def _words(zh: str, en: str) -> Words:
    return {"zh": f"{zh}。", "en": f"{en}."}


def _whole(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "").strip() or "0"
    if not text.isdecimal() or int(text) > 1_000:
        raise Invalid("bad_number", "Write a whole number.", message_zh="请填写整数。")
    return int(text)


def _key(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.strip())
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES:
        raise Invalid("bad_key", "A key has 64 hex digits.", message_zh="公钥为 64 位十六进制。")
    return found
