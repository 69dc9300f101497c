"""Registering rights, consenting to shares and rates, deciding for the office; and what a right earned."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from shanhe.ip import store
from shanhe.ip.desk import Desk
from shanhe.ip.errors import (
    BadEntry,
    EntryConflict,
    FiledAnew,
    JudgesOwn,
    NotAlone,
    NotConsented,
    NothingOpen,
    NotYourOffice,
    NumberTaken,
    TermsChanged,
    TermsOpen,
    UnknownEntry,
    WrongState,
)
from shanhe.ip.model import (
    ABSTRACT_MAX_CHARS,
    NUMBER_MAX_CHARS,
    NUMBERED,
    OFFICE_MAX_CHARS,
    REASON_MAX_CHARS,
    SHOWN,
    TITLE_MAX_CHARS,
    Entry,
    File,
    Happened,
    Kind,
    NewEntry,
    Officer,
    RightDay,
    Shares,
    State,
    TermsState,
    canonical,
    written,
)
from shanhe.kernel.asking import Akin, Named, Names, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier, Text
from shanhe.kernel.paging import Leaf, cut, every, leaf
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger

if TYPE_CHECKING:
    from shanhe.gateway.api import Gateway
    from shanhe.rulebook.api import Rulebook

NAME: Final = re.compile(r"^ip/(\d{6,12})$")
SHA256: Final = re.compile(r"^([0-9a-f]{64})?$")
DAYS_MAX: Final = 366
ERASED: Final = "erasure"
CONSENT: Final = Text("须经全部权利人同意方能生效。", "It takes effect once every holder consents.")
CHANGED: Final = Text(
    "登记内容已修改，须经全部权利人重新同意。",
    "The entry was changed: every holder is asked to consent to it as it is now.",
)
HAND_IN: Final = Text("现在可以提交核验。", "You can hand it in now.")
IN_FORCE: Final = Text("调用即按新的份额与费率付给权利人。", "Calls pay the holders by them from now on.")
STAYS: Final = Text("原有份额与费率继续有效。", "What was in force stays in force.")
AGAIN: Final = Text(
    "请与对方商定后修改登记内容，再次提出。", "Settle it with them, change the entry, and propose it again."
)


class Rights:
    """The registry. Whatever asks the database again is asked before a transaction begins.

    `officer` says who decides for the office, `akin` whom one may not decide about (R0).
    """

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, gateway: Gateway, rulebook: Rulebook,
        notifier: Notifier, named: Named, names: Names, officer: Officer, akin: Akin, record: Record | None = None,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._desk = Desk(
            db, clock, vault, rulebook, gateway.charges, notifier, named, names, seals or Seals(), record
        )  # fmt: skip
        self._ledger = ledger
        self._gateway = gateway
        self._officer = officer
        self._akin = akin

    # -- reading ------------------------------------------------------------------------------------------------------

    async def shown(
        self, *, find: str = "", kind: str = "", pooled: bool = False, before: int | None = None,
        most: int = store.ROWS_MAX,
    ) -> Leaf[File]:  # fmt: skip
        """Verified rights, newest first: everybody may look. `pooled`: those that calls may use. What is looked for is
        looked for among their words, which are sealed where a person registered them."""
        words, number = find.strip().lower(), canonical(find)

        def fits(one: File) -> bool:
            if pooled and (one.in_force is None or one.in_force.rate_ppm is None):
                return False
            return words in _searched(one.entry) or bool(number and number in one.entry.number)

        page = partial(store.shown, self._desk.db, kind or None)
        return await leaf(page, self._desk.files, fits, before=before, most=most, place=attrgetter("n"))

    async def mine(self, org_id: UUID, *, before: int | None = None, most: int = store.ROWS_MAX) -> Leaf[File]:
        """What an organisation registered, holds or is asked to hold, newest first."""
        found = cut(await store.of(self._desk.db, org_id, most + 1, before=before), most, attrgetter("n"))
        return Leaf(await self._desk.files(found.rows), found.following)

    async def queue(self, person_id: UUID) -> list[File]:
        """What waits for the office, oldest first. NotYourOffice."""
        await self._for_office(person_id)
        return await self._desk.files(await store.queue(self._desk.db))

    async def get(self, identifier: UUID, org_id: UUID | None = None, *, officer: bool = False) -> File:
        """An entry as `org_id` may see it: everybody what is verified, its parties and the office all of it."""
        found = await self._desk.load(identifier)
        if not officer and found.entry.state not in SHOWN and (org_id is None or not found.touches(org_id)):
            raise UnknownEntry
        return found

    async def find(self, word: str) -> UUID:
        """The id of an entry by its id or its name (`ip/000001`)."""
        known = NAME.fullmatch(word.strip())
        try:
            found = await store.by_n(self._desk.db, int(known[1])) if known else UUID(word)
        except ValueError:
            found = None
        if found is None:
            raise UnknownEntry
        return found

    async def history(self, identifier: UUID) -> list[Happened]:
        """What happened to an entry, oldest first; each line is an entry of the transparency log."""
        return await store.history(self._desk.db, identifier)

    async def public_names(self, parties: Collection[UUID]) -> Mapping[UUID, str]:
        """What each of these organisations is called; persons, who are nobody's business, are left out."""
        return await self._desk.names([one for one in parties if not await self._desk.seals.personal(one)])

    async def names(self, parties: Collection[UUID]) -> Mapping[UUID, str]:
        """What each of these parties is called, for those who are parties themselves."""
        return await self._desk.names(parties)

    async def used_by(self, entry: Entry) -> list[str]:
        """Listings on sale whose calls use a right."""
        return await self._desk.charges.users(entry.name)

    async def earned(self, found: File, first: date, last: date) -> list[RightDay]:
        """What calls paid each of a right's holders, present and past, by day, newest first."""
        if not first <= last <= first + timedelta(days=DAYS_MAX):
            raise BadEntry("period", f"at most {DAYS_MAX} days", f"不超过 {DAYS_MAX} 天")
        parties = {party for terms in found.terms for party in terms.parties}
        accounts = {(await self._ledger.ensure_account(one, Asset.CREDIT, "income")).id: one for one in parties}
        days = await self._gateway.right_days(found.entry.name, first, last)
        return [RightDay(one.day, accounts[one.account], one.calls, one.amount_micro) for one in days
                if one.account in accounts]  # fmt: skip

    async def standing(self, number: str, org_id: UUID) -> str:
        """What an award may rely on: the kind of a verified right that the organisation holds; else `none` (unknown
        number, or written otherwise than here), `unverified` or `not_holder`."""
        key = self._desk.key(canonical(number))
        identifier = await store.by_number(self._desk.db, key) if key is not None else None
        if identifier is None:
            return "none"
        found = await self._desk.load(identifier)
        if written(number) != written(found.entry.number):
            return "none"
        if found.entry.state is not State.VERIFIED:
            return "unverified"
        return str(found.entry.kind) if org_id in found.holders else "not_holder"

    # -- registering --------------------------------------------------------------------------------------------------

    async def draft(self, new: NewEntry, *, org_id: UUID, actor: str) -> File:
        """Begin an entry, with terms to which its other holders are asked to consent. Idempotent by `new.id`."""
        new = await self._checked(new, org_id)
        desk = self._desk
        kept = await desk.sealed(new, org_id)
        async with desk.db.transaction() as conn:
            if await store.insert(conn, kept, org_id, desk.key(new.number), actor, desk.clock.now()):
                found = await desk.load(new.id, conn=conn)
                await desk.note(conn, found, "drafted", actor)
                await desk.put(conn, found, new.shares, new.rate_ppm, org_id, actor)
                await self._ask(conn, new.id)
        made = await desk.load(new.id)
        if made.entry.org_id != org_id or made.entry.number != new.number or made.entry.title != new.title:
            raise EntryConflict
        return made

    async def change(self, new: NewEntry, *, org_id: UUID, actor: str) -> File:
        """Other content of a draft, or of a refused entry, which becomes a draft again; shares and rate anew. Whoever
        consented did so to what it said: where that changes, all holders are asked again."""
        new = await self._checked(new, org_id)
        desk = self._desk
        kept = await desk.sealed(new, org_id)
        async with desk.db.transaction() as conn:
            found = await self._own(conn, new.id, org_id, {State.DRAFT, State.REFUSED}, "changed", "修改")
            await store.change(conn, kept, desk.key(new.number))
            await desk.note(conn, found, "changed", actor)
            if found.open is not None:
                await store.settle(conn, new.id, found.open.n, TermsState.DECLINED, desk.clock.now())
            standing, anew = found.in_force, not new.says(found.entry)
            if standing is not None and anew:
                await store.settle(conn, new.id, standing.n, TermsState.ENDED, desk.clock.now())
            if anew or not standing or found.open or (standing.shares, standing.rate_ppm) != (new.shares, new.rate_ppm):
                await desk.put(conn, await desk.load(new.id, conn=conn), new.shares, new.rate_ppm, org_id, actor)
                await self._ask(conn, new.id, CHANGED if anew else CONSENT)
        return await desk.load(new.id)

    async def file(self, identifier: UUID, *, org_id: UUID, actor: str) -> File:
        """Hand a draft to the office; from now on its number is this entry's. NotConsented, NumberTaken."""
        desk = self._desk
        names = [await desk.named(party) for party in sorted((await desk.load(identifier)).waiting)]
        try:
            async with desk.db.transaction() as conn:
                found = await self._own(conn, identifier, org_id, {State.DRAFT, State.FILED}, "filed", "提交")
                if found.entry.state is State.FILED:
                    return found
                if found.open is not None:
                    raise NotConsented(names)
                if found.in_force is None:
                    raise WrongState(found.entry.state, "filed without terms", "在无人同意份额时提交")
                await store.move(conn, identifier, State.FILED, now=desk.clock.now())
                await desk.note(conn, found, "filed", actor, found.in_force.n)
        except asyncpg.UniqueViolationError as error:
            raise NumberTaken from error
        return await desk.load(identifier)

    async def withdraw(self, identifier: UUID, *, org_id: UUID, actor: str) -> File:
        """Take an entry back: before it is verified whoever registers it, after that its only holder."""
        desk = self._desk
        await desk.load(identifier)
        async with desk.db.transaction() as conn:
            open_to = {State.DRAFT, State.FILED, State.REFUSED, State.VERIFIED, State.WITHDRAWN}
            found = await desk.load(identifier, conn=conn)
            alone = found.entry.state is State.VERIFIED and found.holders == {org_id}
            if not alone:
                if found.entry.state is State.VERIFIED and org_id in found.holders:
                    raise NotAlone
                found = await self._own(conn, identifier, org_id, open_to - {State.VERIFIED}, "withdrawn", "撤回")
            if found.entry.state is not State.WITHDRAWN:
                await self._end(conn, found, State.WITHDRAWN, actor, "")
        return await desk.load(identifier)

    # -- terms --------------------------------------------------------------------------------------------------------

    async def propose(
        self, identifier: UUID, shares: Shares, rate_ppm: int | None, *, org_id: UUID, actor: str
    ) -> File:  # fmt: skip
        """As a holder, propose other shares or another rate; in force once all who hold or would hold consent.

        For a holder who was erased nobody consents: their share stays what it is.
        """
        desk, wanted = self._desk, tuple(shares)
        desk.check_terms(wanted, rate_ppm)
        for party, _ in wanted:
            await desk.named(party)
        await desk.load(identifier)
        async with desk.db.transaction() as conn:
            found = await desk.load(identifier, conn=conn)
            if org_id not in found.holders:
                raise UnknownEntry
            if found.entry.state is not State.VERIFIED:
                raise WrongState(found.entry.state, "given other terms", "变更份额或费率")
            if not found.keeps(wanted):
                raise BadEntry("shares", "the share of a holder who was erased stays what it is",
                               "权利人的个人信息已删除的，其份额须保持不变")  # fmt: skip
            if found.open is not None:
                if (found.open.shares, found.open.rate_ppm) != (wanted, rate_ppm):
                    raise TermsOpen
                return found
            if found.in_force is not None and (found.in_force.shares, found.in_force.rate_ppm) == (wanted, rate_ppm):
                return found
            await desk.put(conn, found, wanted, rate_ppm, org_id, actor)
            await self._ask(conn, identifier)
        return await desk.load(identifier)

    async def answer(
        self, identifier: UUID, *, org_id: UUID, accept: bool, actor: str, n: int | None = None
    ) -> File:  # fmt: skip
        """Consent to the open terms, or decline them; one refusal ends them. NothingOpen.

        `n`: which terms were read (None: whichever are open). TermsChanged where others have taken their place.
        """
        desk = self._desk
        await desk.load(identifier)
        async with desk.db.transaction() as conn:
            found = await desk.load(identifier, conn=conn)
            terms = found.open
            if terms is None or org_id not in found.concerned:
                raise NothingOpen if found.touches(org_id) else UnknownEntry
            if n not in (None, terms.n):
                raise TermsChanged(terms.n)
            if accept and org_id not in found.waiting:  # consented before: it is on record once
                return found
            now = desk.clock.now()
            await store.say(conn, identifier, terms.n, org_id, accept, actor, now)
            await desk.note(conn, found, "consented" if accept else "declined", actor, terms.n)
            if accept:
                await desk.settle(conn, await desk.load(identifier, conn=conn), actor)
                if not (now_is := await desk.load(identifier, conn=conn)).open:
                    await desk.tell(
                        conn, identifier, [terms.proposed_by], f"{identifier}:{terms.n}:agreed",
                        Text(f"{found.entry.name} 的份额与费率已获全部同意", f"All consented to {found.entry.name}"),
                        HAND_IN if now_is.entry.state is State.DRAFT else IN_FORCE,
                    )  # fmt: skip
            else:
                await self._off(conn, found, [terms.proposed_by])
        return await desk.load(identifier)

    async def _off(self, conn: Any, found: File, tell: Sequence[UUID]) -> None:
        """The open terms come to nothing; these parties hear of it."""
        assert found.open is not None
        entry, n = found.entry, found.open.n
        await store.settle(conn, entry.id, n, TermsState.DECLINED, self._desk.clock.now())
        await self._desk.tell(
            conn, entry.id, tell, f"{entry.id}:{n}:declined",
            Text(f"{entry.name} 的份额或费率变更被拒绝", f"A change of {entry.name} was declined"),
            STAYS if found.in_force else AGAIN,
        )  # fmt: skip

    async def _ask(self, conn: Any, identifier: UUID, why: Text = CONSENT) -> None:
        """Tell whoever has to consent; nothing changes before they do."""
        found = await self._desk.load(identifier, conn=conn)
        if found.open is not None:
            await self._desk.tell(
                conn, identifier, sorted(found.waiting), f"{identifier}:{found.open.n}",
                Text(f"请确认知识产权 {found.entry.name} 的份额", f"Please confirm your share of {found.entry.name}"),
                why,
            )  # fmt: skip

    # -- the office ---------------------------------------------------------------------------------------------------

    async def decide(
        self, identifier: UUID, *, verify: bool, reason: str, person_id: UUID, filed_at: datetime | None = None
    ) -> File:  # fmt: skip
        """Verify a filed entry, or refuse it with the reason. Idempotent for the same verdict. JudgesOwn (R0).

        `filed_at`: when what was read had been handed in (None: it is read now). FiledAnew where it was again since.
        """
        verdict = State.VERIFIED if verify else State.REFUSED
        return await self._judge(identifier, {State.FILED}, verdict, reason, person_id, filed_at)

    async def lapse(self, identifier: UUID, *, reason: str, person_id: UUID) -> File:
        """A verified right is one no more: it ran out, was annulled, was declared invalid."""
        return await self._judge(identifier, {State.VERIFIED}, State.LAPSED, reason, person_id)

    async def _judge(
        self, identifier: UUID, allowed: set[State], verdict: State, reason: str, person_id: UUID,
        filed_at: datetime | None = None,
    ) -> File:  # fmt: skip
        await self._for_office(person_id)
        reason = reason.strip()
        if not 1 <= len(reason) <= REASON_MAX_CHARS:
            raise BadEntry("reason", f"1 to {REASON_MAX_CHARS} characters that say why",
                           f"须写明理由，1–{REASON_MAX_CHARS} 字")  # fmt: skip
        desk, actor = self._desk, f"person:{person_id}"
        for party in (await desk.load(identifier)).holders:
            if await self._akin(person_id, party):
                raise JudgesOwn
        async with desk.db.transaction() as conn:
            found = await desk.load(identifier, conn=conn)
            if found.entry.state is verdict:
                return found
            if found.entry.state not in allowed:
                raise WrongState(found.entry.state, verdict, "作出该决定")
            if filed_at not in (None, found.entry.filed_at):
                raise FiledAnew
            await self._end(conn, found, verdict, actor, reason)
            zh = {"verified": "已核验", "refused": "未通过核验", "lapsed": "已失效"}[verdict]
            await desk.tell(
                conn, identifier, sorted(found.holders), f"{identifier}:{verdict}:{desk.clock.now()}",
                Text(f"知识产权 {found.entry.name} {zh}", f"{found.entry.name} is {verdict}"),
                Text("理由见登记页面。", "The reason is on its page."),
            )  # fmt: skip
        return await desk.load(identifier)

    async def _end(self, conn: Any, found: File, state: State, actor: str, reason: str) -> None:
        """Another state of an entry, and what calls pay it from then on."""
        desk = self._desk
        said = await desk.seals.seal(found.entry.org_id, "ip.entry.reason", reason)
        await store.move(
            conn, found.entry.id, state, now=desk.clock.now(), by=actor if reason else "", reason=said
        )  # fmt: skip
        if found.open is not None and state is not State.VERIFIED:
            await store.settle(conn, found.entry.id, found.open.n, TermsState.DECLINED, desk.clock.now())
        await desk.note(conn, found, str(state), actor)
        await desk.publish(conn, replace(found.entry, state=state), found.in_force, actor)

    async def is_officer(self, person_id: UUID) -> bool:
        """Whether a person decides for the office."""
        return await self._officer(person_id)

    async def forget(self, org_id: UUID) -> int:
        """After an erasure: what the person held alone is withdrawn, terms that would need their consent are off, and
        those that waited for nobody else come into force."""
        done = 0
        async for one in every(partial(store.of, self._desk.db, org_id), attrgetter("n")):
            async with self._desk.db.transaction() as conn:
                found = await self._desk.load(one.id, conn=conn)
                gone = found.entry.state in (State.DRAFT, State.FILED, State.REFUSED) and one.org_id == org_id
                if gone or (found.entry.state is State.VERIFIED and found.holders == {org_id}):
                    await self._end(conn, found, State.WITHDRAWN, ERASED, "")
                    done += 1
                elif found.open is not None and org_id in found.concerned:  # nobody can consent to it any more
                    await self._desk.note(conn, found, "declined", ERASED, found.open.n)
                    await self._off(conn, found, sorted(found.concerned - {org_id}))
                else:
                    await self._desk.settle(conn, found, ERASED)
        return done

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _for_office(self, person_id: UUID) -> None:
        if not await self._officer(person_id):
            raise NotYourOffice

    async def _own(
        self, conn: Any, identifier: UUID, org_id: UUID, allowed: set[State], en: str, zh: str
    ) -> File:  # fmt: skip
        found = await self._desk.load(identifier, conn=conn)
        if found.entry.org_id != org_id:
            raise UnknownEntry
        if found.entry.state not in allowed:
            raise WrongState(found.entry.state, en, zh)
        return found

    async def _checked(self, new: NewEntry, org_id: UUID) -> NewEntry:
        """What is registered, in its normal form. BadEntry names the field; NumberTaken."""
        words: dict[str, Any] = {
            name: getattr(new, name).strip() for name in ("number", "title", "abstract", "office", "document_sha256")
        }
        new = replace(new, **words)
        new = replace(new, number=canonical(new.number), document_sha256=new.document_sha256.lower())
        _check_words(asdict(new))
        _check_days(new, self._desk.clock.today())
        self._desk.check_terms(new.shares, new.rate_ppm)
        if org_id not in {party for party, _ in new.shares}:
            raise BadEntry(
                "shares",
                "whoever registers it is one of its holders: add a line for yourself",
                "登记人须为权利人之一，请加上本单位一行",
            )
        for party, _ in new.shares:
            await self._desk.named(party)
        await self._desk.free(new.number, new.id)
        return new


def _check_words(new: dict[str, Any]) -> None:
    for field, most in (("title", TITLE_MAX_CHARS), ("abstract", ABSTRACT_MAX_CHARS), ("office", OFFICE_MAX_CHARS),
                        ("number", NUMBER_MAX_CHARS)):  # fmt: skip
        text = new[field]
        if len(text) > most or any(not (one.isprintable() or one in "\n\r\t") for one in text):
            raise BadEntry(field, f"at most {most} printable characters", f"不超过 {most} 个可见字符")
    if not new["title"]:
        raise BadEntry("title", "say what the right is called", "请填写名称")
    if not SHA256.fullmatch(new["document_sha256"]):
        raise BadEntry("document_sha256", "64 digits 0-9a-f, the SHA-256 of the certificate's file: choose it",
                       "应为 64 位数字与字母 a–f；请选择证书文件，由页面算出")  # fmt: skip


def _check_days(new: NewEntry, today: date) -> None:
    numbered = new.kind in NUMBERED
    if numbered and not new.number:
        raise BadEntry("number", "a right of this kind has a registration number", "该类知识产权须填写登记号")
    if numbered and new.granted_on is None:
        raise BadEntry("granted_on", "a right of this kind has a day of grant", "该类知识产权须填写授权或登记日")
    if new.kind is Kind.TRADE_SECRET and new.number:
        raise BadEntry("number", "a secret has no registration number", "商业秘密没有登记号")
    for field in ("applied_on", "granted_on"):
        day = getattr(new, field)
        if day is not None and day > today:
            raise BadEntry(field, "not after today", "不得晚于今天")
    if new.applied_on and new.granted_on and new.granted_on < new.applied_on:
        raise BadEntry("granted_on", "not before the day of application", "不得早于申请日")


def _searched(one: Entry) -> str:
    return " ".join((one.name, one.title, one.abstract, one.office)).lower()
