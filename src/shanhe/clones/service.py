"""Who may be depicted by whom, for what and until when; and what is done when that ends."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from shanhe.clones import store
from shanhe.clones.errors import AlreadyAsked, BadMandate, CloneRefused, UnknownMandate, WrongMandateState
from shanhe.clones.model import CALLED_MAX_CHARS, CODE_BYTES, MEANS, NAME, PURPOSES, PURPOSES_ZH, USES, Mandate, State
from shanhe.identity.api import Identity, purposes
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import every
from shanhe.kernel.vault import PersonErased, Vault

PURPOSE: Final = "clone_likeness"
CALLED: Final = "clones.called"
ALLIANCE, VOICE, TRAINING = MEANS
Remove = Callable[[Mandate], Awaitable[Mapping[str, int]]]
"""Deletes what one module has of a clone; repeatable. How many of what."""
log = structlog.get_logger(__name__)


class Clones:
    """Mandates of one city. `remove`: what has to go when one ends, in this order."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, *, identity: Identity) -> None:
        self.db = db
        self.clock = clock
        self.vault = vault
        self.identity = identity
        self._remove: Sequence[Remove] = ()

    def connect(self, remove: Sequence[Remove]) -> None:
        """Say what deletes; set once, in the composition root."""
        self._remove = remove

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask(
        self, org_id: UUID, name: str, wanted: Sequence[str], until: date, *, by: str, mandate_id: UUID | None = None
    ) -> tuple[Mandate, str]:
        """Ask for a consent: the request and the code of the link for the person, which is not kept. AlreadyAsked."""
        if not NAME.fullmatch(name):
            raise BadMandate("A clone is called clone/name, the name 2 to 34 of a–z, 0–9 and -",
                             "分身名称形如 clone/短名称，短名称为 2–34 位小写字母、数字或连字符")  # fmt: skip
        wanted = _checked(wanted)
        if until <= self.clock.today():
            raise BadMandate("The last day lies in the future", "截止日须晚于今天")
        code, number = secrets.token_urlsafe(CODE_BYTES), mandate_id or new_id()
        try:
            made = await store.ask(
                self.db.writes, number, name, org_id, _digest(code), wanted, until, self.clock.now(), by
            )  # fmt: skip
        except asyncpg.UniqueViolationError as error:
            raise AlreadyAsked(name) from error
        if not made:
            raise AlreadyAsked(name)
        return await self.of_maker(number, org_id), code

    async def of_maker(self, mandate_id: UUID, org_id: UUID | None) -> Mandate:
        """A request of an organisation's own; None: an operator asks."""
        row = await store.mandate(self.db, mandate_id)
        if row is None or (org_id is not None and row["org_id"] != org_id):
            raise UnknownMandate()
        return self._opened(row)

    async def mandates(
        self, *, org_id: UUID | None = None, person_id: UUID | None = None, limit: int = store.PAGE_ROWS,
        before: UUID | None = None,
    ) -> list[Mandate]:  # fmt: skip
        return [self._opened(row) for row in await store.mandates(self.db, org_id, person_id, limit, before)]

    async def drop(self, mandate_id: UUID, org_id: UUID) -> Mandate:
        """The maker wants no clone any more: what was made of the person is deleted like after a revocation."""
        found = await self.of_maker(mandate_id, org_id)
        if found.state is State.GRANTED:
            assert found.person_id is not None
            await self._withdraw(found)
        await store.end(self.db, found.id, State.DROPPED, self.clock.now(), None)
        return await self.clear(await self.of_maker(mandate_id, org_id))

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def asked(self, code: str, by: UUID | None = None) -> Mandate:
        """What the link is about, for whoever opens it while it is open; later only for who decided (`by`)."""
        row = await store.by_code(self.db, _digest(code))
        if row is None or (by is not None and row["person_id"] not in (None, by)):
            raise UnknownMandate()
        return self._opened(row)

    async def grant(
        self, code: str, person_id: UUID, *, called: str, wanted: Sequence[str], until: date, notice_version: str
    ) -> Mandate:
        """The person's own consent: signed into the ledger of consents, for some of what was asked and no longer.

        The same again is the standing one. BadMandate, WrongMandateState, ConsentNeedsMore (another notice, a child).
        """
        called, wanted = called.strip(), _checked(wanted)
        if not 1 <= len(called) <= CALLED_MAX_CHARS or not called.isprintable():
            raise BadMandate(f"How you are called has 1 to {CALLED_MAX_CHARS} characters",
                             f"称呼须为 1–{CALLED_MAX_CHARS} 个可见字符")  # fmt: skip
        found = await self.asked(code)
        if found.state is State.GRANTED and found.person_id == person_id:
            return found
        if found.state is not State.ASKED:
            raise WrongMandateState(found.state)
        if not set(wanted) <= set(found.asked) or not self.clock.today() < until <= found.asked_until:
            raise BadMandate("Less may be granted than was asked, never more", "授权范围与期限不得超出请求")
        consent = await self.identity.consents.give(
            person_id, PURPOSE, notice_version=notice_version, apart=True, about=about(found)
        )
        sealed = self.vault.encrypt(person_id, CALLED, called)
        async with self.db.transaction() as conn:
            row = await store.mandate(conn, found.id, lock=True)
            if row["state"] == State.ASKED:
                await store.grant(conn, found.id, person_id, consent.id, sealed, wanted, until, self.clock.now())
        made = await self.of_maker(found.id, None)
        if made.consent_id != consent.id:  # taken back or given by somebody else meanwhile: this one is for nothing
            await self.identity.consents.withdraw(person_id, PURPOSE, about=about(found))
            raise WrongMandateState(made.state)
        return made

    async def decline(self, code: str, person_id: UUID) -> Mandate:
        """The person doesn't want a clone."""
        found = await self.asked(code)
        if found.state is not State.ASKED:
            raise WrongMandateState(found.state)
        await store.end(self.db, found.id, State.DECLINED, self.clock.now(), person_id)
        made = await self.of_maker(found.id, None)
        if made.state is not State.DECLINED:
            raise WrongMandateState(made.state)
        return made

    async def revoke(self, mandate_id: UUID, person_id: UUID) -> Mandate:
        """Take a consent back: from now on the clone answers nothing, and everything made for it is deleted at once;
        what can't be deleted now is tried again every minute."""
        found = await self.of_maker(mandate_id, None)
        if found.person_id != person_id:
            raise UnknownMandate()
        if found.state is State.GRANTED:
            await self._withdraw(found)
            await store.end(self.db, found.id, State.REVOKED, self.clock.now(), None)
        return await self.clear(await self.of_maker(mandate_id, None))

    async def _withdraw(self, found: Mandate) -> None:
        assert found.person_id is not None
        if found.consent_id is not None and await self.identity.consents.stands(found.person_id, found.consent_id):
            await self.identity.consents.withdraw(found.person_id, PURPOSE, about=about(found))

    # -- before every call --------------------------------------------------------------------------------------------

    async def permit(self, name: str, mandate_id: UUID, purpose: str, means: Sequence[str] = ()) -> Mandate:
        """The consent that lets a clone answer for a purpose now; CloneRefused says why not. Never from memory: what
        was taken back a moment ago counts in every process."""
        row = await store.mandate(self.db, mandate_id)
        if row is None or row["name"] != name or row["state"] != State.GRANTED:
            raise CloneRefused(name, "there is no consent of the person it depicts", "没有本人的有效授权")
        found = self._opened(row)
        assert found.until is not None
        assert found.person_id is not None
        assert found.consent_id is not None
        if self.clock.today() > found.until:
            raise CloneRefused(name, f"the consent ended on {found.until}", f"授权已于 {found.until} 到期")
        if not await self.identity.consents.stands(found.person_id, found.consent_id):
            raise CloneRefused(name, "the person took the consent back", "本人已撤回授权")
        for wanted in (*((purpose,) if purpose else ()), *means):
            if wanted not in found.purposes:
                allowed, allowed_zh = ", ".join(found.purposes), "、".join(map(_zh, found.purposes))
                raise CloneRefused(name, f"{wanted} is not among what the person agreed to ({allowed})",
                                   f"本人未授权用于{_zh(wanted)}（已授权：{allowed_zh}）")  # fmt: skip
        return found

    async def licensed(self, model: str, org_id: UUID) -> None:
        """Whether an organisation may train a model called `clone-…`: only with a consent to training."""
        if not model.startswith("clone-"):
            return
        name = f"clone/{model.removeprefix('clone-')}"
        row = await store.standing(self.db, name)
        if row is None or row["org_id"] != org_id:
            raise CloneRefused(name, "there is no consent of the person it depicts", "没有本人的有效授权")
        await self.permit(name, row["id"], "", (TRAINING,))

    async def standing(self, name: str, org_id: UUID) -> Mandate:
        """The consent on which an organisation's clone rests; UnknownMandate."""
        row = await store.standing(self.db, name)
        if row is None or row["org_id"] != org_id:
            raise UnknownMandate()
        return self._opened(row)

    # -- the end ------------------------------------------------------------------------------------------------------

    async def clear(self, found: Mandate) -> Mandate:
        """Delete everything that was made on an ended consent; what fails is tried again by `tick`."""
        if found.cleared_at is not None or found.ended_at is None or found.state is State.DECLINED:
            return found
        gone: dict[str, int] = {"feedback": await store.delete_feedback(self.db, mandate_id=found.id)}
        try:
            for remove in self._remove:
                for what, count in (await remove(found)).items():
                    gone[what] = gone.get(what, 0) + count
        except (ShanheError, OSError) as error:
            log.warning("a clone could not be deleted yet", clone=found.name, reason=str(error))
            return found
        await store.cleared(self.db, found.id, gone, self.clock.now())
        return await self.of_maker(found.id, None)

    async def tick(self) -> int:
        """End what has expired or was withdrawn elsewhere, and delete what is left; how many ended."""
        ended, after = 0, None
        while rows := await store.working(self.db, after):
            after = rows[-1]["id"]
            for row in rows:
                found = self._opened(row)
                if found.state is State.GRANTED and (state := await self._over(found)) is not None:
                    await store.end(self.db, found.id, state, self.clock.now(), None)
                    ended += 1
                    found = await self.of_maker(found.id, None)
                await self.clear(found)
        return ended

    async def _over(self, found: Mandate) -> State | None:
        assert found.person_id is not None
        assert found.consent_id is not None
        if found.until is not None and self.clock.today() > found.until:
            await self._withdraw(found)
            return State.EXPIRED
        if not await self.identity.consents.stands(found.person_id, found.consent_id):
            return State.REVOKED
        return None

    async def forget(self, person_id: UUID) -> int:
        """A person was erased: their clones end, and what they said of others' is deleted; how many."""
        count = await store.delete_feedback(self.db, person_id=person_id)
        async for found in every(partial(self.mandates, person_id=person_id)):
            if found.state is State.GRANTED:
                await store.end(self.db, found.id, State.REVOKED, self.clock.now(), None)
                await self.clear(await self.of_maker(found.id, None))
                count += 1
        return count

    def notice(self) -> dict[str, str]:
        """What the person is told before they decide: the notice in force."""
        one = purposes()[PURPOSE].notice(self.clock.today())
        return {"version": one.version, "zh": one.notice_zh, "en": one.notice_en}

    def _opened(self, row: Any) -> Mandate:
        called = ""
        if row["called"] is not None and row["person_id"] is not None:
            try:
                called = self.vault.decrypt(row["person_id"], CALLED, row["called"])
            except PersonErased:
                called = ""
        return Mandate(
            row["id"], row["name"], row["org_id"], tuple(row["asked"]), row["asked_until"], row["asked_at"],
            State(row["state"]), row["person_id"], row["consent_id"], called, tuple(row["purposes"]), row["until"],
            row["decided_at"], row["ended_at"], row["cleared_at"], row["cleared"],
        )  # fmt: skip


def _zh(purpose: str) -> str:
    return PURPOSES_ZH.get(purpose, purpose)


def about(found: Mandate) -> str:
    """What a consent's row says it is about."""
    return f"{found.name} {found.id}"


def _checked(wanted: Sequence[str]) -> list[str]:
    found = [one for one in PURPOSES if one in wanted]
    if len(found) < len(set(wanted)) or not set(found) & set(USES):
        raise BadMandate(f"Choose of {', '.join(PURPOSES)}, at least one of {', '.join(USES)}",
                         f"用途须选自 {'、'.join(PURPOSES)}，且至少含 {'、'.join(USES)} 之一")  # fmt: skip
    return found


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
