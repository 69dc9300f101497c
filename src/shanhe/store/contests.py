"""Contests' decisions (P8): who may enter with what, who may judge, when it is over, who is paid and honoured.

A jury is blind: it sees a number and a text that says none of the entrant's names, and nothing of its own or of related
parties (R0). Prizes are awards of the programme engine; this only says which place a party took.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from shanhe.kernel.asking import Akin, Named
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.store import contest_store as store
from shanhe.store.contest_model import (
    CALL_MAX_CHARS,
    ENTRIES_MAX,
    JURORS_MAX,
    NOTE_MAX_CHARS,
    POOL_MAX_FEN,
    TITLE_MAX_CHARS,
    WORK_MAX_CHARS,
    Blind,
    Contest,
    Entry,
    NewContest,
    Phase,
    Winner,
    gives_away,
    placed,
)
from shanhe.store.errors import (
    BadContest,
    FourEyes,
    NotAJuror,
    NotJudged,
    NotThePhase,
    OwnListing,
    SaysItsName,
    UnknownContest,
    UnknownListing,
)

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook
    from shanhe.store.service import Store

RULE: Final = "P8"
WORK: Final = "store.entry.work"
NOTE: Final = "store.entry_score.note"
ID_TAKEN: Final = ("it is another entry's; send a new one, or none", "编号已被占用，请更换或不填")
LOOKS_MAX: Final = 3
"""How often a decision looks again because points arrived meanwhile."""
Award = Callable[[UUID, UUID], Awaitable[UUID | None]]
"""(organisation, contest): apply for the prize of the place it took; the application's id, None while it can't."""


class Contests:
    """Contests of one city. `award` and `named` ask other modules."""

    def __init__(
        self, db: Database, clock: Clock, shop: Store, rulebook: Rulebook, *, named: Named,
        akin: Akin, award: Award, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._shop = shop
        self._rulebook = rulebook
        self._named = named
        self._akin = akin
        self._award = award
        self._seals = seals or Seals()

    # -- calling ------------------------------------------------------------------------------------------------------

    async def call(self, new: NewContest, *, actor: str) -> Contest:
        """Announce a contest; the standing one for an id that is known. BadContest."""
        _check(new, self._clock.today())
        async with self._db.transaction() as conn:
            await store.insert(conn, new, self._clock.now(), actor)
        return await self.contest(new.id)

    async def contest(self, contest_id: UUID) -> Contest:
        """UnknownContest."""
        found = await store.contest(self._db, contest_id)
        if found is None:
            raise UnknownContest()
        return found

    async def contests(self) -> list[Contest]:
        """All of them, newest first, a bounded page."""
        return await store.contests(self._db)

    def phase(self, contest: Contest) -> Phase:
        """Where a contest stands today."""
        return contest.phase(self._clock.today())

    async def name_juror(self, contest_id: UUID, person: UUID, *, actor: str) -> None:
        """Let a person judge, until the decision."""
        async with self._db.transaction() as conn:
            await self._undecided(conn, contest_id)
            if not await store.add_juror(conn, contest_id, person, self._clock.now(), actor):
                raise BadContest("jurors", f"at most {JURORS_MAX}", f"不超过 {JURORS_MAX} 人")

    async def dismiss_juror(self, contest_id: UUID, person: UUID, *, actor: str) -> None:
        """Points of who is no juror any more do not count; who dismissed them does not decide."""
        async with self._db.transaction() as conn:
            await self._undecided(conn, contest_id)
            await store.dismiss(conn, contest_id, person, self._clock.now(), actor)

    async def jurors(self, contest_id: UUID) -> list[UUID]:
        """Who judges."""
        return await store.jurors(self._db, contest_id)

    async def juries(self, contests: Collection[UUID]) -> Mapping[UUID, Sequence[UUID]]:
        """Who judges each of these."""
        return await store.juries(self._db, contests)

    async def judging(self, person: UUID) -> list[UUID]:
        """Contests that a person judges."""
        return await store.judging(self._db, person)

    # -- entering -----------------------------------------------------------------------------------------------------

    async def enter(
        self, contest_id: UUID, *, owner: UUID, listing: str, work: str, actor: str, entry_id: UUID | None = None
    ) -> Entry:
        """Enter one's own offered listing, once an organisation, or change the entry. NotThePhase, SaysItsName."""
        if not 1 <= len(work.strip()) <= WORK_MAX_CHARS:
            raise BadContest("work", f"1 to {WORK_MAX_CHARS} characters", f"1–{WORK_MAX_CHARS} 字")
        one = (await self._shop.offer(listing)).listing
        if one.owner != owner:
            raise UnknownListing(listing)
        said = gives_away(work, (await self._named(owner), one.slug, one.title_zh, one.title_en))
        if said is not None:
            raise SaysItsName(said)
        kept = await self._seals.seal(owner, WORK, work.strip())
        try:
            async with self._db.transaction() as conn:
                found = await self._undecided(conn, contest_id)
                self._only(found, Phase.ENTRIES)
                entries = await store.entries(conn, contest_id)
                if len(entries) >= ENTRIES_MAX and all(one.org_id != owner for one in entries):
                    raise BadContest("entries", f"at most {ENTRIES_MAX}", f"不超过 {ENTRIES_MAX} 项")
                if entry_id is not None and not await store.is_free(conn, entry_id, contest_id, owner):
                    raise BadContest("id", *ID_TAKEN)
                await store.enter(conn, entry_id or new_id(), contest_id, owner, one.id, kept, self._clock.now(), actor)
        except asyncpg.UniqueViolationError as error:  # another contest's, entered in that moment
            raise BadContest("id", *ID_TAKEN) from error
        made = await self.entry(contest_id, owner)
        assert made is not None
        return made

    async def withdraw(self, contest_id: UUID, *, owner: UUID) -> None:
        """Take an entry back, until the decision."""
        async with self._db.transaction() as conn:
            await self._undecided(conn, contest_id)
            await store.withdraw(conn, contest_id, owner, self._clock.now())

    async def entry(self, contest_id: UUID, owner: UUID) -> Entry | None:
        """An organisation's own entry."""
        found = await store.entry_of(self._db, contest_id, owner)
        return None if found is None else await self._opened(found)

    async def entered(self, owner: UUID, *, most: int = store.PAGE_ROWS) -> list[Entry]:
        """Everything an organisation entered."""
        return [await self._opened(one) for one in await store.entries_of(self._db, owner, most)]

    async def said(self, entry: Entry) -> list[tuple[int, str]]:
        """(points, reason) of an entry's jurors, without their names, for a copy of what is kept of somebody."""
        seal = await self._seals.of(entry.org_id)
        return [(points, seal.open(NOTE, note)) for points, note in await store.said(self._db, entry.id)]

    async def _opened(self, found: Entry) -> Entry:
        return replace(found, work=(await self._seals.of(found.org_id)).open(WORK, found.work))

    # -- judging ------------------------------------------------------------------------------------------------------

    async def to_judge(self, contest_id: UUID, person: UUID) -> list[Blind]:
        """What a juror may judge, in the order of numbers; NotAJuror. Nothing of their own or related parties'."""
        found = await self.contest(contest_id)
        await self._juror(contest_id, person)
        if self.phase(found) in (Phase.ANNOUNCED, Phase.ENTRIES):
            return []
        kinds, given = await store.kinds(self._db, contest_id), await store.scores_by(self._db, contest_id, person)
        blind = []
        for one in await store.entries(self._db, contest_id):
            if one.withdrawn_at is not None or await self._akin(person, one.org_id):
                continue
            seal = await self._seals.of(one.org_id)
            points, note = given.get(one.id, (None, ""))
            blind.append(Blind(one.id, one.n, kinds[one.id], seal.open(WORK, one.work), points, seal.open(NOTE, note)))
        return blind

    async def score(self, contest_id: UUID, n: int, *, person: UUID, score_bps: int, note: str) -> None:
        """A juror's points for an entry, 10,000 = 100 points; the latest word counts. OwnListing (R0), NotThePhase."""
        if not 0 <= score_bps <= 10_000 or not 1 <= len(note.strip()) <= NOTE_MAX_CHARS:
            raise BadContest("score", "0 to 100 points with a reason", "0–100 分并说明理由")
        await self._juror(contest_id, person)
        one = next((e for e in await store.entries(self._db, contest_id) if e.n == n and e.withdrawn_at is None), None)
        if one is None:
            raise UnknownContest()
        if await self._akin(person, one.org_id):
            raise OwnListing()
        kept = await self._seals.seal(one.org_id, NOTE, note.strip())
        async with self._db.transaction() as conn:
            found = await self._undecided(conn, contest_id)
            self._only(found, Phase.JURY)
            await store.score(conn, one.id, person, score_bps, kept, self._clock.now())

    async def may_decide(self, contests: Collection[UUID], actor: str) -> set[UUID]:
        """Which of these contests somebody neither called nor named or dismissed a juror of; one question."""
        return set(contests) - await store.touched_by(self._db, actor, contests)

    async def decide(self, contest_id: UUID, *, actor: str, person: UUID | None = None) -> Contest:
        """Give the places and apply for the prizes. NotJudged while an entry waits for jurors and there is time.

        FourEyes for who called it or chose its jury, OwnListing for a `person` who belongs to an entrant or is related
        to one (R0). Points of jurors who by now are related to the entrant don't count.
        """
        await self._stranger(contest_id, person)
        apart: dict[tuple[UUID, UUID], bool] = {}
        for _ in range(LOOKS_MAX):
            await self._look(contest_id, apart)
            if await self._decided(contest_id, actor, apart):
                await self.pay(contest_id)
                return await self.contest(contest_id)
        raise NotThePhase(Phase.JURY)

    async def _stranger(self, contest_id: UUID, person: UUID | None) -> None:
        if person is None or (await self.contest(contest_id)).decided_at is not None:
            return
        for one in await store.entries(self._db, contest_id):
            if one.withdrawn_at is None and await self._akin(person, one.org_id):
                raise OwnListing()

    async def _look(self, contest_id: UUID, apart: dict[tuple[UUID, UUID], bool]) -> None:
        """Add whether each juror who gave points is related to the entrant today; outside any transaction."""
        jury, points = set(await store.jurors(self._db, contest_id)), await store.scores(self._db, contest_id)
        for one in await store.entries(self._db, contest_id):
            for juror in points.get(one.id, {}):
                if juror in jury and (one.id, juror) not in apart:
                    apart[one.id, juror] = await self._akin(juror, one.org_id)

    async def _decided(self, contest_id: UUID, actor: str, apart: Mapping[tuple[UUID, UUID], bool]) -> bool:
        """False when points arrived that nobody has looked at."""
        today = self._clock.today()
        jurors_min = int(self._rulebook.parameter(RULE, "jurors_min", today))
        async with self._db.transaction() as conn:
            found = await store.contest(conn, contest_id, lock=True)
            if found is None:
                raise UnknownContest()
            if found.decided_at is not None:
                return True
            self._only(found, Phase.JURY)
            if await store.touched_by(conn, actor, [contest_id]):
                raise FourEyes()
            jury, points = set(await store.jurors(conn, contest_id)), await store.scores(conn, contest_id)
            given = {(key, who): bps for key, by in points.items() for who, bps in by.items() if who in jury}
            if not given.keys() <= apart.keys():
                return False
            heard: dict[UUID, dict[UUID, int]] = {}
            for (key, who), bps in given.items():
                if not apart[key, who]:
                    heard.setdefault(key, {})[who] = bps
            judged = store.judged(await store.entries(conn, contest_id), heard)
            waiting = [one.n for one in judged if len(one.scores) < jurors_min]
            if waiting and today <= found.judged_until:
                raise NotJudged(waiting, jurors_min)
            await store.place(conn, placed(judged, jurors_min))
            await store.set_counted(conn, contest_id, [pair for pair, akin in apart.items() if akin])
            await store.set_decided(conn, contest_id, self._clock.now(), actor)
        return True

    # -- paying and honouring -----------------------------------------------------------------------------------------

    async def pay(self, contest_id: UUID) -> None:
        """Apply for each prize that was not applied for; again after a crash, or once a budget is there."""
        found = await self.contest(contest_id)
        if found.decided_at is None or found.paid_at is not None:
            return
        done = True
        for one in await store.entries(self._db, contest_id):
            if one.place is None or one.application is not None or not self.prize_fen(found, one.place):
                continue
            application = await self._award(one.org_id, contest_id)
            if application is None:
                done = False
            else:
                await store.set_application(self._db, one.id, application)
        if done:
            await store.set_paid(self._db, contest_id, self._clock.now())

    async def pay_due(self) -> int:
        """What repeats: contests that are decided and not paid; how many."""
        due = await store.unpaid(self._db)
        for one in due:
            await self.pay(one.id)
        return len(due)

    def prize_fen(self, contest: Contest, place: int) -> int:
        """What P8 gives for a place of a contest."""
        on = contest.judged_until if contest.decided_at is None else city_date(contest.decided_at)
        found = self._rulebook.evaluate(RULE, {"pool_fen": contest.pool_fen, "place": place}, on=on)
        return int(found.outputs["prize_fen"])

    async def won(self, org_id: UUID, contest_id: UUID) -> tuple[int, int] | None:
        """(pool in fen, place) of a party in a decided contest; None where it took none."""
        found = await store.contest(self._db, contest_id)
        entry = await store.entry_of(self._db, contest_id, org_id)
        if found is None or found.decided_at is None or entry is None or entry.place is None:
            return None
        return found.pool_fen, entry.place

    async def winners(self, contest_id: UUID) -> list[Winner]:
        """Places of a decided contest, for everybody."""
        found = await self.contest(contest_id)
        ranked = sorted(
            (one for one in await store.entries(self._db, contest_id) if one.place is not None),
            key=lambda one: one.place or 0,
        )
        known = await store.names(self._db, [one.listing for one in ranked])
        winners = []
        for one in ranked:
            assert one.place is not None
            kind, slug = known[one.listing]
            listing = await self._shop.listed(f"{kind}/{slug}")
            winners.append(
                Winner(one.place, one.org_id, await self._named(one.org_id), listing.name, listing.title_zh,
                       listing.title_en, one.mean_bps or 0, self.prize_fen(found, one.place), one.application)
            )  # fmt: skip
        return winners

    async def standing(self, contests: Collection[UUID]) -> Mapping[UUID, Sequence[tuple[int, int]]]:
        """(number, how many jurors have spoken) of each entry that stands, by contest: what operators see before the
        decision; one question."""
        return await store.heard(self._db, contests)

    # -- who and when -------------------------------------------------------------------------------------------------

    async def _undecided(self, conn: Any, contest_id: UUID) -> Contest:
        found = await store.contest(conn, contest_id, lock=True)
        if found is None:
            raise UnknownContest()
        if found.decided_at is not None:
            raise NotThePhase(Phase.DECIDED)
        return found

    def _only(self, contest: Contest, phase: Phase) -> None:
        if self.phase(contest) is not phase:
            raise NotThePhase(self.phase(contest))

    async def _juror(self, contest_id: UUID, person: UUID) -> None:
        if person not in await store.jurors(self._db, contest_id):
            raise NotAJuror()


def _check(new: NewContest, today: date) -> None:
    texts: Sequence[tuple[str, str, int]] = (
        ("title_zh", new.title_zh, TITLE_MAX_CHARS), ("title_en", new.title_en, TITLE_MAX_CHARS),
        ("call_zh", new.call_zh, CALL_MAX_CHARS), ("call_en", new.call_en, CALL_MAX_CHARS),
    )  # fmt: skip
    for field, text, most in texts:
        if not 1 <= len(text.strip()) <= most:
            raise BadContest(field, f"1 to {most} characters", f"1–{most} 字")
    if not 0 <= new.pool_fen <= POOL_MAX_FEN:
        raise BadContest("pool_fen", f"0 to {POOL_MAX_FEN} fen", f"0–{POOL_MAX_FEN} 分")
    if not new.opens_on <= new.entries_until < new.judged_until or new.entries_until < today:
        raise BadContest(
            "days",
            "opens_on ≤ entries_until < judged_until, entries not over yet",
            "开始 ≤ 报名截止 < 评审截止，且报名尚未截止",
        )
