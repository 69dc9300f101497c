"""The ID itself: applied for, decided by N1 and N2, renewed by N3, issued as a credential, revoked."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.credentials.api import Jwk
from shanhe.facts.api import NewFact, Use
from shanhe.facts.api import Standing as Sound
from shanhe.identity.api import Category, CategoryName, PersonState
from shanhe.kernel.clock import city_date
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice
from shanhe.kernel.notify import Text as Words
from shanhe.kernel.vault import PersonErased
from shanhe.nomads import store
from shanhe.nomads.errors import CardConflict
from shanhe.nomads.ground import Ground
from shanhe.nomads.membership import PURPOSE, Membership
from shanhe.nomads.model import Card, Purpose, Reason, Standing, Verdict
from shanhe.nomads.presence import Presence
from shanhe.rulebook.api import Decision

DAYS_RULE, MEMBER_RULE, RENEWAL_RULE = "N1", "N2", "N3"
CREDENTIAL: Final = "nomad-id"
FIELD: Final = "nomad.decision"
ISSUED_TOPIC: Final = "nomads.card_issued"
ENTRY: Final = "nomad_card"
ERASED: Final = "erasure"
INSURANCE: Final = "social_insurance_city"
REF_MAX_CHARS: Final = 128
PLACE_MAX_CHARS: Final = 60
PLAIN_MAX_BYTES: Final = 200_000
LIST_ROWS: Final = 20
REMIND_DAYS: Final = 7
"""How long after a renewal opens its holder is still told: the jobs may have stood still."""
TRIES: Final = 5
"""Requests of one person at once: each is decided on what the one before has changed."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where somebody stands today: days that count, days needed, and what would be decided now."""

    days: int
    needed: int
    standing: Standing
    card: Card | None
    kind: str
    reasons: tuple[Reason, ...]
    declared: bool
    member: bool
    renewed: Card | None = None
    """The renewal whose year has not begun."""


@dataclass(frozen=True, slots=True)
class _Ruling:
    kind: str
    granted: bool
    rule: str
    needed: int
    days: int
    valid_from: date
    valid_until: date
    reasons: tuple[Reason, ...]
    decisions: tuple[Decision, ...]
    cards: tuple[UUID, ...] = ()
    """Which cards the person had when it was made."""


class Cards:
    """Decides at once and by rule; what was decided stands in the database before anything else happens."""

    def __init__(self, ground: Ground, presence: Presence, membership: Membership) -> None:
        self._ground = ground
        self._presence = presence
        self._membership = membership
        self._reminded: date | None = None

    # -- applying -----------------------------------------------------------------------------------------------------

    async def declare(self, person_id: UUID, city: str, *, actor: str) -> None:
        """Say where one's social insurance is (`-`: nowhere). What a register says goes before it."""
        text = city.strip()
        if not 1 <= len(text) <= PLACE_MAX_CHARS or not text.isprintable():
            raise Invalid("bad_place", "Name the city of your social insurance, or “-” for none.",
                          message_zh="请填写社保所在城市；没有则填“-”。")  # fmt: skip
        today = self._ground.today()
        await self._ground.facts.publish(NewFact(new_id(), person_id, INSURANCE, text, today), actor=actor)

    async def outlook(self, person_id: UUID, *, actor: str) -> Outlook:
        """What the page of a nomad shows; decides nothing."""
        card, standing = await self.current(person_id)
        ruling = await self._ruling(person_id, Purpose.OWN, actor)
        declared = await self._insured_in(person_id) is not None
        member = await self._membership.member(person_id, self._ground.today())
        return Outlook(
            ruling.days, ruling.needed, standing, card, ruling.kind, ruling.reasons, declared, member,
            await self.renewed(person_id),
        )  # fmt: skip

    async def apply(self, person_id: UUID, *, client_ref: str, actor: str, holder: Jwk | None = None) -> Verdict:
        """Ask for the ID, or for its renewal when there is one. Idempotent by (person, client_ref).

        A refusal is an answer, not an error: it carries its reasons and is kept.
        """
        if not 1 <= len(client_ref) <= REF_MAX_CHARS:
            raise Invalid("bad_reference", f"client_ref has 1 to {REF_MAX_CHARS} characters.",
                          message_zh="编号长度不合规。")  # fmt: skip
        await self._presence.nomad(person_id)
        for _ in range(TRIES):
            known = await store.decision(self._ground.db, person_id, client_ref)
            if known is not None:
                return self.verdict(known)
            ruling = await self._ruling(person_id, Purpose.QUALIFY, actor)
            verdict = self._said(person_id, client_ref, ruling)
            try:
                card = await self._issue(verdict, ruling, holder, actor)
            except CardConflict:  # another request of the same person was decided meanwhile: the rule is asked again
                continue
            if card is not None:
                await self.settle(card)
            if (row := await store.decision(self._ground.db, person_id, client_ref)) is not None:
                return self.verdict(row)
        raise CardConflict(client_ref)

    def _said(self, person_id: UUID, client_ref: str, ruling: _Ruling) -> Verdict:
        traces = {item.rule_id: item.trace for item in ruling.decisions}
        versions = {item.rule_id: item.version for item in ruling.decisions}
        return Verdict(
            new_id(), person_id, ruling.kind, client_ref, ruling.granted, self._ground.now(),
            new_id() if ruling.granted else None, ruling.reasons, ruling.days, ruling.needed, traces, versions,
        )  # fmt: skip

    async def _issue(self, verdict: Verdict, ruling: _Ruling, holder: Jwk | None, actor: str) -> Card | None:
        """Write the decision and, with it, the card, its credential and the facts: all or nothing. CardConflict where
        the person has other cards by now than the ruling knew, or this answer already."""
        ground, card = self._ground, None
        name = (await ground.identity.people.get(verdict.person_id)).name
        number = (await self._presence.nomad(verdict.person_id)).number
        async with ground.db.transaction() as conn:
            await store.lock_nomad(conn, verdict.person_id)
            years = await store.cards(conn, verdict.person_id)
            if tuple(one.id for one in years) != ruling.cards:
                raise CardConflict(verdict.client_ref)
            if verdict.card is not None:
                shown = {"days_at_least": ruling.needed, "within_days": self._window(), "name": name, "number": number}
                credential = await ground.credentials.issue(
                    conn, verdict.person_id, CREDENTIAL, shown, valid_from=ruling.valid_from,
                    valid_until=ruling.valid_until, holder=holder,
                )  # fmt: skip
                card = Card(
                    verdict.card, verdict.person_id, (years[0].year if years else 0) + 1, ruling.rule, credential,
                    ruling.valid_from, ruling.valid_until, ruling.needed, verdict.at, None, False, False,
                )  # fmt: skip
                await store.insert_card(conn, card)
            if not await store.insert_decision(conn, *self._row(verdict)):
                raise CardConflict(verdict.client_ref)
            if card is not None:
                await self._publish(conn, card, ruling, actor)
            await ground.notifier.notify(_notice(verdict, card), conn)
        return card

    async def _publish(self, conn: Any, card: Card, ruling: _Ruling, actor: str) -> None:
        """What others may know: that the ID is valid. How many days stays personal; no fact says which."""
        facts = (
            NewFact(_derived(card.id, 1), card.person_id, "nomad_id", True, card.valid_from, card.valid_until,
                    standing=Sound.MEASURED, source=f"rule:{card.rule}", evidence=str(card.id)),
            NewFact(_derived(card.id, 2), card.person_id, "nomad_days", ruling.days, self._ground.today(),
                    self._ground.today(), standing=Sound.MEASURED, source="presence", evidence=str(card.id)),
        )  # fmt: skip
        for fact in facts:
            await self._ground.facts.publish(fact, actor=actor, conn=conn)
        public = {"rule": card.rule, "valid_until": card.valid_until.isoformat(), "year": card.year}
        await self._ground.record(conn, ENTRY, public, {"card": str(card.id), "person": str(card.person_id)})
        payload = {"card": str(card.id), "person_id": str(card.person_id), "kind": ruling.kind}
        await self._ground.announce(conn, ISSUED_TOPIC, str(card.person_id), payload)

    async def settle(self, card: Card) -> None:
        """What follows a card outside this module's tables; safe to repeat. One that was revoked meanwhile makes nobody
        a nomad."""
        await self._ground.identity.people.set_category(
            card.person_id, Category(CategoryName.NOMAD, True, card.valid_from, card.valid_until), by="nomads"
        )
        now_is = await self.get(card.id)
        if now_is.revoked_at is not None:
            await self.unsettle(now_is, by="nomads")

    async def unsettle(self, card: Card, *, by: str) -> None:
        """A revoked card's holder is a nomad no more; safe to repeat. Of an erased person nothing is left to end."""
        assert card.revoked_at is not None
        if (await self._ground.identity.people.get(card.person_id)).state is PersonState.ERASED:
            return
        ended = max(card.valid_from, city_date(card.revoked_at) - timedelta(days=1))
        await self._ground.identity.people.set_category(
            card.person_id, Category(CategoryName.NOMAD, False, card.valid_from, ended), by=by
        )

    # -- the rules ----------------------------------------------------------------------------------------------------

    async def _ruling(self, person_id: UUID, purpose: Purpose, actor: str) -> _Ruling:
        today = self._ground.today()
        days = len(await self._presence.days(person_id, purpose, on=today, actor=actor))
        insured = await self._insured_in(person_id)
        member = await self._membership.member(person_id, today)
        facts = {"insured_here": insured is not None and self._here(insured),
                 "resident": await self._resident(person_id), "days_present": min(days, 366)}  # fmt: skip
        cards = await store.cards(self._ground.db, person_id)
        latest = next((card for card in cards if card.revoked_at is None), None)
        if latest is not None and today <= latest.valid_until + timedelta(days=self._grace()):
            ruling = self._renewal(facts, latest, member)
        else:
            ruling = self._first(facts, member)
        against = []
        if insured is None:
            against.append(Reason("undeclared", "请先填写社保所在城市", "say first where your social insurance is"))
        until = max((card.valid_until for card in cards if card.revoked_at is not None), default=None)
        if until is not None and today <= until:
            against.append(Reason("revoked", f"身份卡已撤销，{until:%Y-%m-%d} 前不再签发",
                                  f"your card was revoked; none is issued until {until:%Y-%m-%d}"))  # fmt: skip
        ruling = replace(ruling, cards=tuple(card.id for card in cards))
        return replace(ruling, granted=False, reasons=(*against, *ruling.reasons)) if against else ruling

    def _first(self, facts: Mapping[str, Any], member: bool) -> _Ruling:
        today, rulebook = self._ground.today(), self._ground.rulebook
        by_days = rulebook.evaluate(DAYS_RULE, {**facts, "applied_on": today}, on=today)
        by_member = rulebook.evaluate(MEMBER_RULE, {**facts, "member": member}, on=today)
        rule = by_member if member and not by_days.outputs["qualifies"] else by_days
        needed = int(rulebook.parameter(MEMBER_RULE if rule is by_member else DAYS_RULE, "days_required", today))
        return _Ruling(
            "issue", bool(rule.outputs["qualifies"]), rule.rule_id, needed, facts["days_present"], today,
            by_days.outputs["valid_until"], self._reasons(facts, rule.outputs["days_missing"]), (by_days, by_member),
        )  # fmt: skip

    def _renewal(self, facts: Mapping[str, Any], card: Card, member: bool) -> _Ruling:
        today, rulebook = self._ground.today(), self._ground.rulebook
        decision = rulebook.evaluate(
            RENEWAL_RULE, {**facts, "member": member, "valid_until": card.valid_until, "applied_on": today}, on=today
        )
        name = "member_days" if member else "days_required"
        needed = int(rulebook.parameter(RENEWAL_RULE, name, today))
        opens = card.valid_until - timedelta(days=int(rulebook.parameter(RENEWAL_RULE, "early_days", today)))
        reasons = self._reasons(facts, decision.outputs["days_missing"])
        if today < opens:
            early = Reason("early", f"最早可于 {opens:%Y-%m-%d} 续期", f"renewal opens on {opens:%Y-%m-%d}")
            reasons = (early, *reasons)
        return _Ruling(
            "renewal", bool(decision.outputs["renews"]), decision.rule_id, needed, facts["days_present"],
            card.valid_until + timedelta(days=1), decision.outputs["new_valid_until"], reasons, (decision,),
        )  # fmt: skip

    @staticmethod
    def _reasons(facts: Mapping[str, Any], missing: int) -> tuple[Reason, ...]:
        found = []
        if missing:
            more = f"{missing} more day" if missing == 1 else f"{missing} more days"
            found.append(Reason("days", f"还差 {missing} 天", more))
        if facts["insured_here"]:
            found.append(Reason("insured", "社保在本市", "your social insurance is in this city"))
        if facts["resident"]:
            found.append(Reason("resident", "您是本市居民", "you are a resident of this city"))
        return tuple(found)

    async def _insured_in(self, person_id: UUID) -> str | None:
        """Where the social insurance is: what a register says, else what the person declared."""
        async with self._ground.facts.reading(Use(PURPOSE, "nomads")) as reader:
            for sound in (True, False):
                value = await reader.value(person_id, INSURANCE, sound=sound)
                if isinstance(value, str):
                    return value
        return None

    async def _resident(self, person_id: UUID) -> bool:
        today, person = self._ground.today(), await self._ground.identity.people.get(person_id)
        async with self._ground.facts.reading(Use(PURPOSE, "nomads")) as reader:
            lives = await reader.value(person_id, "residence", sound=True)
        listed = any(
            item.category is CategoryName.RESIDENT and item.verified and item.valid_from <= today
            and (item.valid_to is None or today <= item.valid_to) for item in person.categories
        )  # fmt: skip
        return listed or (isinstance(lives, str) and self._here(lives))

    def _here(self, place: str) -> bool:
        """`山河`, `山河市` and `Shanhe` all name the city `山河 Shanhe`."""
        city = self._ground.city
        return _plain(place) in {_plain(name) for name in (city, *city.split())}

    def _grace(self) -> int:
        return int(self._ground.rulebook.parameter(RENEWAL_RULE, "grace_days", self._ground.today()))

    def _window(self) -> int:
        return int(self._ground.rulebook.parameter(DAYS_RULE, "window_days", self._ground.today()))

    # -- afterwards ---------------------------------------------------------------------------------------------------

    async def current(self, person_id: UUID) -> tuple[Card | None, Standing]:
        """The card that counts today, else the latest, and how it stands."""
        today, cards = self._ground.today(), await store.cards(self._ground.db, person_id)
        if not cards:
            return None, Standing.NONE
        card = next((card for card in cards if card.valid_on(today)), cards[0])
        return card, self.standing(card, today)

    async def renewed(self, person_id: UUID) -> Card | None:
        """The renewal whose year has not begun, beside the card that counts today."""
        today, cards = self._ground.today(), await store.cards(self._ground.db, person_id)
        if not any(card.valid_on(today) for card in cards):
            return None
        return next((card for card in cards if self.standing(card, today) is Standing.COMING), None)

    async def remind(self) -> int:
        """Tell whoever may renew from this week on, once a card; looked for once a day. How many cards."""
        today, found = self._ground.today(), 0
        if self._reminded == today:
            return 0
        early = int(self._ground.rulebook.parameter(RENEWAL_RULE, "early_days", today))
        first, after = today + timedelta(days=early - REMIND_DAYS), UUID(int=0)
        while cards := await store.renewable(self._ground.db, first, today + timedelta(days=early), after):
            for card in cards:
                found += await self._ground.notifier.notify(_renewable(card))
            after = cards[-1].id
        self._reminded = today
        return found

    def standing(self, card: Card, today: date) -> Standing:
        if card.revoked_at is not None:
            return Standing.REVOKED
        if today < card.valid_from:
            return Standing.COMING
        if today <= card.valid_until:
            return Standing.VALID
        return Standing.GRACE if today <= card.valid_until + timedelta(days=self._grace()) else Standing.EXPIRED

    async def get(self, card_id: UUID) -> Card:
        found = await store.card(self._ground.db, card_id)
        if found is None:
            raise NotFound("unknown_card", "There is no such card.", message_zh="没有该身份卡。")
        return found

    async def list(self, person_id: UUID) -> Sequence[Card]:
        return await store.cards(self._ground.db, person_id)

    async def token(self, card: Card) -> str:
        """The whole credential, for its holder."""
        return await self._ground.credentials.token(card.credential)

    async def verdicts(self, person_id: UUID, *, most: int = LIST_ROWS) -> Sequence[Verdict]:
        """The latest decisions about a person, with reasons and traces."""
        return [self.verdict(row) for row in await store.decisions(self._ground.db, person_id, most)]

    async def revoke(self, card_id: UUID, reason: str, *, actor: str) -> Card:
        """End a card today: the status list says so, and every rule that reads the fact."""
        if not reason.strip():
            raise Invalid("needs_reason", "Say why the card ends.", message_zh="请写明撤销理由。")
        card, today = await self.get(card_id), self._ground.today()
        async with self._ground.db.transaction() as conn:
            if await store.revoke_card(conn, card.id, self._ground.now()):
                await self._ground.credentials.revoke(card.credential, reason.strip(), conn)
                if today <= card.valid_until:  # what is over says nothing about the card after it
                    since = max(card.valid_from, today)
                    fact = NewFact(_derived(card.id, 3), card.person_id, "nomad_id", None, since, card.valid_until,
                                   standing=Sound.MEASURED, source="revoked", evidence=str(card.id))  # fmt: skip
                    await self._ground.facts.publish(fact, actor=actor, conn=conn)
                await self._ground.notifier.notify(_revoked(card, reason.strip()), conn)
        revoked = await self.get(card_id)
        await self.unsettle(revoked, by=actor)
        return revoked

    async def forget(self, person_id: UUID) -> int:
        """After an erasure: a card that still runs ends, for nobody is behind it any more; how many."""
        ground, done = self._ground, 0
        for card in await store.cards(ground.db, person_id):
            if card.revoked_at is None and ground.today() <= card.valid_until:
                async with ground.db.transaction() as conn:
                    if await store.revoke_card(conn, card.id, ground.now()):
                        await ground.credentials.revoke(card.credential, ERASED, conn)
                        done += 1
        return done

    def renewal_opens(self, card: Card) -> date:
        early = int(self._ground.rulebook.parameter(RENEWAL_RULE, "early_days", self._ground.today()))
        return card.valid_until - timedelta(days=early)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _row(self, verdict: Verdict) -> tuple[Any, ...]:
        content = {"reasons": [[item.code, item.zh, item.en] for item in verdict.reasons], "days": verdict.days,
                   "needed": verdict.days_required, "traces": verdict.traces}  # fmt: skip
        packed = base64.b64encode(zlib.compress(msgspec.json.encode(content))).decode()
        sealed = self._ground.vault.encrypt(verdict.person_id, FIELD, packed)
        return (verdict.id, verdict.person_id, verdict.kind, verdict.client_ref, verdict.granted, verdict.at,
                verdict.card, dict(verdict.versions), sealed)  # fmt: skip

    def verdict(self, row: Any) -> Verdict:
        """A decision as it is stored, opened; without reasons and traces once its person is erased."""
        try:
            packed = base64.b64decode(self._ground.vault.decrypt(row["person_id"], FIELD, row["sealed"]))
            content = msgspec.json.decode(zlib.decompressobj().decompress(packed, PLAIN_MAX_BYTES))
        except PersonErased:
            content = {"reasons": [], "days": 0, "needed": 0, "traces": {}}
        return Verdict(
            row["id"], row["person_id"], row["kind"], row["client_ref"], row["granted"], row["at"], row["card"],
            tuple(Reason(*item) for item in content["reasons"]), content["days"], content["needed"], content["traces"],
            row["versions"],
        )  # fmt: skip


def _notice(verdict: Verdict, card: Card | None) -> Notice:
    if card is not None:
        title = Words("数字游民身份卡已签发", "Your digital nomad ID was issued")
        body = Words(
            f"有效期 {card.valid_from:%Y-%m-%d} 至 {card.valid_until:%Y-%m-%d}。",
            f"Valid from {card.valid_from:%Y-%m-%d} to {card.valid_until:%Y-%m-%d}.",
        )
    else:
        renewal = verdict.kind == "renewal"
        title = Words("身份卡续期未通过" if renewal else "身份卡申请未通过",
                      "The ID was not renewed" if renewal else "The ID was not issued")  # fmt: skip
        body = Words("；".join(item.zh for item in verdict.reasons) + "。",
                     "; ".join(item.en for item in verdict.reasons) + ".")  # fmt: skip
    return Notice("nomad.card", title, body, person_id=verdict.person_id, link="/nomad", dedupe=f"nomad:{verdict.id}")


def _renewable(card: Card) -> Notice:
    return Notice(
        "nomad.card", Words("数字游民身份卡可以续期了", "Your digital nomad ID can be renewed"),
        Words(f"有效期至 {card.valid_until:%Y-%m-%d}。届时未用的门票、优惠晚数与课程补贴失效；不续期，身份也随之失效。",
              f"It is valid until {card.valid_until:%Y-%m-%d}. Tickets, nights and courses that are unused by then "
              "lapse, and so does the ID unless it is renewed."),
        person_id=card.person_id, link="/nomad", dedupe=f"nomad-renewable:{card.id}",
    )  # fmt: skip


def _revoked(card: Card, reason: str) -> Notice:
    return Notice(
        "nomad.card", Words("数字游民身份卡已撤销", "Your digital nomad ID was revoked"),
        Words(f"理由：{reason}。如有异议，请联系数字游民服务处。",
              f"Why: {reason}. Ask the nomad services if you disagree."),
        person_id=card.person_id, link="/nomad", dedupe=f"nomad-revoked:{card.id}",
    )  # fmt: skip


def _derived(card: UUID, n: int) -> UUID:
    return UUID(int=card.int ^ n)


def _plain(place: str) -> str:
    return place.strip().removesuffix("市").casefold()
