"""Founding, inviting, accepting, leaving, sharing; and how many parties an alliance has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.alliances import store
from shanhe.alliances.errors import (
    AlreadyAllied,
    AlreadyInvited,
    NotACompany,
    NotInvited,
    NotYours,
    TooMany,
    UnknownAlliance,
)
from shanhe.alliances.model import Alliance, Company, Member, MemberState, Shared, Title, View
from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.rulebook.api import Rulebook

RULE: Final = "T14"
NAME_CHARS, PURPOSE_CHARS = 100, 1_000
MEMBERS_MAX: Final = 20
"""Each pair is asked whether it is related when a member buys."""
ASKED_MAX: Final = 200
"""Who declined or left is kept, takes no seat, and may be asked again."""
SHARED_MAX: Final = 100


class Alliances:
    """`titles` says what an organisation's data set or model is called, by kind: only one's own can be shared."""

    def __init__(
        self, db: Database, clock: Clock, *, rulebook: Rulebook, notifier: Notifier, related: Related,
        company: Company, titles: Mapping[str, Title],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._notifier = notifier
        self._related = related
        self._company = company
        self._titles = titles

    # -- reading ------------------------------------------------------------------------------------------------------

    async def of(self, org_id: UUID) -> list[View]:
        """An organisation's alliance and its invitations, newest first."""
        return [await self.get(found, org_id) for found in await store.of(self._db, org_id)]

    async def get(self, alliance: UUID, org_id: UUID) -> View:
        """As a member or an invited organisation sees it; UnknownAlliance for anybody else."""
        found, members = await store.alliance(self._db, alliance), await store.members(self._db, alliance)
        mine = next((one.state for one in members if one.org_id == org_id), None)
        if found is None or mine not in (MemberState.INVITED, MemberState.MEMBER):
            raise UnknownAlliance
        named = tuple([replace(one, name=(await self._company(one.org_id))[0]) for one in members])
        shown = await store.shared(self._db, alliance) if mine is MemberState.MEMBER else []
        today = self._clock.today()
        needed = int(self._rulebook.parameter(RULE, "members_min", today))
        extra = int(self._rulebook.parameter(RULE, "extra", today))
        return View(found, named, tuple(shown), await self._parties(members), needed, extra, mine)

    async def size(self, org_id: UUID) -> int:
        """How many parties the organisation's alliance has today, itself included; 0 without one. For T14."""
        alliance = await store.current(self._db, org_id)
        return await self._parties(await store.members(self._db, alliance)) if alliance is not None else 0

    async def _parties(self, members: list[Member]) -> int:
        """Members that are strangers to each other: related ones (R0) count once, and frozen ones not at all."""
        groups: list[list[UUID]] = []
        for one in members:
            if one.state is not MemberState.MEMBER or not (await self._company(one.org_id))[1]:
                continue
            near = [group for group in groups if await self._near(group, one.org_id)]
            groups = [group for group in groups if group not in near]
            groups.append([org for group in near for org in group] + [one.org_id])
        return len(groups)

    async def _near(self, group: list[UUID], org_id: UUID) -> bool:
        for other in group:
            if await self._related(other, org_id):
                return True
        return False

    async def datasets_for(self, org_id: UUID) -> frozenset[UUID]:
        """Data sets of other members that an organisation may read."""
        return frozenset(UUID(ref) for ref in await store.shared_with(self._db, org_id, "dataset"))

    # -- founding and joining -----------------------------------------------------------------------------------------

    async def found(self, org_id: UUID, *, alliance_id: UUID, name: str, purpose: str, actor: str) -> View:
        """Found an alliance with oneself as its first member. Idempotent by id."""
        name, purpose = name.strip(), purpose.strip()
        if not 0 < len(name) <= NAME_CHARS or not 0 < len(purpose) <= PURPOSE_CHARS:
            raise Invalid(
                "bad_alliance", f"Give a name (1–{NAME_CHARS} characters) and what you build together.",
                message_zh=f"请填写联盟名称（1–{NAME_CHARS} 字）与共同开发的内容。",
            )  # fmt: skip
        await self._may_join(org_id)
        now = self._clock.now()
        made = Alliance(alliance_id, name, purpose, org_id, actor, now)
        async with self._guarded() as conn:
            if await store.insert(conn, made):
                await store.put(conn, made.id, org_id, MemberState.MEMBER, invited_by=org_id, at=now, actor=actor)
        known = await store.alliance(self._db, alliance_id)
        if known is None or (known.name, known.founder) != (name, org_id):
            raise Conflict(
                "alliance_conflict", "This id already belongs to another alliance.", message_zh="该编号已被使用。"
            )
        return await self.get(alliance_id, org_id)

    async def invite(self, alliance: UUID, org_id: UUID, invited: UUID, *, actor: str) -> View:
        """As a member, ask another company to join; nothing is given before it accepts. Again after a refusal."""
        name = await self._may_join(invited)
        async with self._guarded() as conn:
            found, members = await self._own(conn, alliance, org_id)
            known = next((one.state for one in members if one.org_id == invited), None)
            if known in (MemberState.INVITED, MemberState.MEMBER):
                raise AlreadyInvited(name)
            if sum(one.state in (MemberState.INVITED, MemberState.MEMBER) for one in members) >= MEMBERS_MAX:
                raise TooMany("members", "家成员", MEMBERS_MAX)
            if known is None and len(members) >= ASKED_MAX:
                raise TooMany("companies that were ever asked", "家曾受邀企业", ASKED_MAX)
            await store.put(
                conn, alliance, invited, MemberState.INVITED, invited_by=org_id, at=self._clock.now(), actor=actor
            )
            await self._notifier.notify(_invited(found, invited, str(self._clock.now())), conn)
        return await self.get(alliance, org_id)

    async def answer(self, alliance: UUID, org_id: UUID, *, accept: bool, actor: str) -> None:
        """Accept an invitation, or decline it. AlreadyAllied in another alliance."""
        if accept:
            await self._may_join(org_id)
        async with self._guarded() as conn:
            if await store.alliance(conn, alliance, lock=True) is None:
                raise UnknownAlliance
            mine = next((one for one in await store.members(conn, alliance) if one.org_id == org_id), None)
            if mine is None:
                raise UnknownAlliance
            if mine.state is not MemberState.INVITED:
                raise NotInvited(mine.state)
            state = MemberState.MEMBER if accept else MemberState.DECLINED
            await store.put(
                conn, alliance, org_id, state, invited_by=mine.invited_by, at=self._clock.now(), actor=actor
            )

    async def leave(self, alliance: UUID, org_id: UUID, *, actor: str) -> None:
        """Leave at once; what one shared goes along. What was bought with the discount stays."""
        async with self._guarded() as conn:
            await self._own(conn, alliance, org_id)
            await store.unshare(conn, alliance, org_id, None, None)
            await store.put(
                conn, alliance, org_id, MemberState.LEFT, invited_by=org_id, at=self._clock.now(), actor=actor
            )

    # -- sharing ------------------------------------------------------------------------------------------------------

    async def share(self, alliance: UUID, org_id: UUID, kind: str, ref: str, *, actor: str) -> View:
        """Let the other members use a data set or a model of one's own. Idempotent."""
        if kind not in self._titles:
            raise Invalid("bad_kind", "Share a dataset or a model.", message_zh="可共享的类型为数据集或模型。")
        title = await self._titles[kind](org_id, ref.strip())
        if title is None:
            raise NotYours(kind, ref)
        async with self._guarded() as conn:
            await self._own(conn, alliance, org_id)
            if len(await store.shared(conn, alliance)) >= SHARED_MAX:
                raise TooMany("shared things", "项共享", SHARED_MAX)
            await store.share(conn, alliance, Shared(kind, ref.strip(), title, org_id, self._clock.now()), actor)
        return await self.get(alliance, org_id)

    async def unshare(self, alliance: UUID, org_id: UUID, kind: str, ref: str) -> View:
        """Stop sharing something of one's own."""
        async with self._guarded() as conn:
            await self._own(conn, alliance, org_id)
            await store.unshare(conn, alliance, org_id, kind, ref)
        return await self.get(alliance, org_id)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _own(self, conn: Any, alliance: UUID, org_id: UUID) -> tuple[Alliance, list[Member]]:
        """The alliance, locked, if the organisation is a member."""
        found = await store.alliance(conn, alliance, lock=True)
        members = await store.members(conn, alliance)
        if found is None or (org_id, MemberState.MEMBER) not in [(one.org_id, one.state) for one in members]:
            raise UnknownAlliance
        return found, members

    async def _may_join(self, org_id: UUID) -> str:
        name, may = await self._company(org_id)
        if not may:
            raise NotACompany(name)
        return name

    def _guarded(self) -> _Guarded:
        return _Guarded(self._db)


class _Guarded:
    """A transaction in which a second membership of one company is refused with words."""

    def __init__(self, db: Database) -> None:
        self._transaction = db.transaction()

    async def __aenter__(self) -> Any:
        return await self._transaction.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        await self._transaction.__aexit__(kind, error, trace)
        if isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name == "member_once":
            raise AlreadyAllied from error


def _invited(alliance: Alliance, org_id: UUID, word: str) -> Notice:
    return Notice(
        "alliances.invited",
        Text(f"邀请加入应用联盟“{alliance.name}”", f"You are invited to the alliance {alliance.name!r}"),
        Text("是否加入由贵单位决定，加入前不产生任何效果。", "It is yours to say; nothing happens before you accept."),
        org_id=org_id, link="/alliance", dedupe=f"alliance:{alliance.id}:{org_id}:{word}",
    )  # fmt: skip
