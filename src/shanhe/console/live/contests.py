"""Contests' pages over the store: plain data, and forms as what the store takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of, unnamed
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.kernel.ids import id_in, new_id
from shanhe.kernel.money import parse_yuan
from shanhe.store.api import Contest, NewContest, NotAJuror, Phase

PRIZED: Final = 3
BPS: Final = 100


class LiveContests:
    """See `ports.ContestDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._contests = modules.contests
        self._store = modules.store
        self._identity = modules.identity
        self._clock = modules.clock

    async def all(self) -> Sequence[Mapping[str, Any]]:
        return [self._shown(one) for one in await self._contests.contests()]

    async def one(self, who: m.Who | None, contest: UUID) -> Mapping[str, Any]:
        found = await self._contests.contest(contest)
        winners = [
            {**asdict(one), "title": {"zh": one.title_zh, "en": one.title_en}, "points": f"{one.mean_bps / BPS:.1f}"}
            for one in await self._contests.winners(contest)
        ]
        mine, entry, juror = [], None, False
        if who is not None:
            if who.person_id is not None:
                juror = who.person_id in await self._contests.jurors(contest)
            if who.has_org and who.may("publish"):
                entry = await self._contests.entry(contest, who.org_id)
                mine = [listing.name for listing, _ in await self._store.mine(who.org_id) if listing.state == "listed"]
                kept = None if entry is None else await self._named(mine, entry.listing, who.org_id)
        return {
            **self._shown(found), "winners": winners, "mine": mine, "juror": juror,
            "entry": None if entry is None else {"n": entry.n, "work": entry.work, "listing": kept,
                                                 "withdrawn": entry.withdrawn_at is not None},
        }  # fmt: skip

    async def _named(self, mine: Sequence[str], listing: UUID, org_id: UUID) -> str:
        return next((one.name for one, _ in await self._store.mine(org_id) if one.id == listing), "")

    async def enter(self, who: m.Who, contest: UUID, fields: Mapping[str, str]) -> None:
        await self._contests.enter(
            contest, owner=who.org_id, listing=fields.get("listing", ""), work=fields.get("work", ""),
            actor=actor_of(who).ref,
        )  # fmt: skip

    async def withdraw(self, who: m.Who, contest: UUID) -> None:
        await self._contests.withdraw(contest, owner=who.org_id)

    # -- the jury -----------------------------------------------------------------------------------------------------

    async def jury(self, who: m.Who, contest: UUID) -> Mapping[str, Any]:
        found = await self._contests.contest(contest)
        entries = [
            {**asdict(one), "points": None if one.score_bps is None else one.score_bps // BPS}
            for one in await self._contests.to_judge(contest, _person(who))
        ]
        return {**self._shown(found), "entries": entries}

    async def score(self, who: m.Who, contest: UUID, n: int, points: str, note: str) -> None:
        if not points.strip().isdigit():
            raise Invalid("bad_number", "Give 0 to 100 points.", message_zh="请填写 0–100 分。")
        await self._contests.score(
            contest, n, person=_person(who), score_bps=int(points) * BPS, note=note.strip()
        )  # fmt: skip

    # -- operators ----------------------------------------------------------------------------------------------------

    async def desk(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        found = await self._contests.contests()
        juries = await self._contests.juries([one.id for one in found])
        names = await self._identity.people.names([person for jury in juries.values() for person in jury])
        undecided = [one.id for one in found if one.decided_at is None]
        heard = await self._contests.standing(undecided)
        decides = await self._contests.may_decide(undecided, actor_of(who).ref)
        return [
            {
                **self._shown(one), "jurors": [names.get(person) or unnamed(person) for person in juries[one.id]],
                "heard": heard.get(one.id, ()), "decides": one.id in decides,
            }
            for one in found
        ]  # fmt: skip

    async def call(self, who: m.Who, fields: Mapping[str, str]) -> None:
        new = NewContest(
            id_in(fields.get("id")) or new_id(), fields.get("title_zh", "").strip(), fields.get("title_en", "").strip(),
            fields.get("call_zh", "").strip(), fields.get("call_en", "").strip(), _fen(fields.get("pool", "")),
            _day(fields.get("opens_on", "")), _day(fields.get("entries_until", "")),
            _day(fields.get("judged_until", "")),
        )  # fmt: skip
        await self._contests.call(new, actor=actor_of(who).ref)

    async def name_juror(self, who: m.Who, contest: UUID, login: str) -> None:
        person = await self._identity.people.by_name(login.strip())
        if person is None:
            raise NotFound("unknown_person", "Nobody signs in by that name.", message_zh="没有使用该登录名的人。")
        await self._contests.name_juror(contest, person, actor=actor_of(who).ref)

    async def decide(self, who: m.Who, contest: UUID) -> None:
        await self._contests.decide(contest, actor=actor_of(who).ref, person=who.person_id)

    def _shown(self, one: Contest) -> dict[str, Any]:
        prizes = [prize for place in range(1, PRIZED + 1) if (prize := self._contests.prize_fen(one, place))]
        phase = self._contests.phase(one)
        return {
            "id": one.id, "title": {"zh": one.title_zh, "en": one.title_en},
            "call": {"zh": one.call_zh, "en": one.call_en}, "phase": phase, "open": phase is Phase.ENTRIES,
            "judging": phase is Phase.JURY, "pool_fen": one.pool_fen, "prizes_fen": prizes, "opens_on": one.opens_on,
            "entries_until": one.entries_until, "judged_until": one.judged_until, "decided_at": one.decided_at,
        }  # fmt: skip


def _person(who: m.Who) -> UUID:
    if who.person_id is None:
        raise NotAJuror()
    return who.person_id


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("bad_date", "Choose a day.", message_zh="请选择日期。") from error


def _fen(text: str) -> int:
    try:
        return parse_yuan(text)
    except ValueError as error:
        raise Invalid("bad_number", f"{text[:40]!r} is no amount.", message_zh=f"“{text[:40]}”不是金额。") from error
