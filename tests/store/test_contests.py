"""P8: a call, entries without names, a blind jury that keeps away from its own, prizes as postings, honours."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.identity.api import NewPerson, Role
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset
from shanhe.store import contest_store
from shanhe.store.api import (
    BadContest,
    Contest,
    FourEyes,
    NewContest,
    NotAJuror,
    NotJudged,
    NotThePhase,
    OwnListing,
    Phase,
    SaysItsName,
    UnknownListing,
)
from shanhe.store.contest_model import Judged, gives_away, placed
from stage.market import MODEL, Market, Party

POOL = 1_000_000
PLAIN = {"model": MODEL, "instructions": "答。", "tools": [], "budget_micro": 1_000_000, "steps_max": 3}
WORK = "把窗口的问题先归类，再逐条引用办事指南作答。"


class Day:
    """The city's clock, some days on."""

    def __init__(self, clock: Any, days: int) -> None:
        self._clock = clock
        self._days = timedelta(days=days)

    def now(self) -> Any:
        return self._clock.now() + self._days

    def today(self) -> date:
        return self._clock.today() + self._days  # type: ignore[no-any-return]


class Arena:
    """A contest with makers and jurors."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.contests = market.services.contests
        self.people = market.services.identity.people

    async def call(self, **changes: Any) -> Contest:
        today = self.market.services.clock.today()
        new = NewContest(
            new_id(), "政务智能体大赛", "Contest", "做一个好用的助手。", "Make a helper.", POOL, today,
            today + timedelta(days=10), today + timedelta(days=20),
        )  # fmt: skip
        return await self.contests.call(replace(new, **changes), actor="tests")

    async def maker(self, slug: str, name: str) -> Party:
        party = await self.market.party(name)
        await self.market.listed(party.org, f"agent/{slug}", PLAIN)
        return party

    async def person(self, org: UUID | None = None) -> UUID:
        person = await self.people.create(NewPerson("评委", login=f"j{uuid4().hex[:8]}"), by="tests")
        if org is not None:
            await self.market.services.identity.orgs.set_member(org, person.id, Role.MEMBER, by="tests")
        return person.id

    async def jury(self, contest: UUID, size: int = 3) -> list[UUID]:
        people = [await self.person() for _ in range(size)]
        for one in people:
            await self.contests.name_juror(contest, one, actor="tests")
        return people

    def later(self, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
        monkeypatch.setattr(self.contests, "_clock", Day(self.market.services.clock, days))

    async def cash(self, org: UUID) -> int:
        ledger = self.market.services.ledger
        account = await ledger.ensure_account(org, Asset.CNY, "wallet")
        return (await ledger.balance(account.id)).balance


@pytest.fixture
def arena(market: Market) -> Arena:
    return Arena(market)


@pytest.mark.asyncio(loop_scope="module")
class TestContest:
    async def test_goes_from_the_call_to_prizes_and_honours(
        self, arena: Arena, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contest = (await arena.call()).id
        first, second = await arena.maker("arena-one", "甲公司"), await arena.maker("arena-two", "乙公司")
        budgets = market.services.programmes.budgets
        await budgets.fund("contest_cash", POOL, reason="tests", actor="tests", funding_id=new_id())
        entered = await first.http.put(
            f"/api/store/contests/{contest}/entry", json={"listing": "agent/arena-one", "work": WORK}
        )
        assert entered.json()["n"] == 1
        await arena.contests.enter(contest, owner=second.org, listing="agent/arena-two", work="另一种做法。", actor="t")
        changed = await arena.contests.enter(contest, owner=second.org, listing="agent/arena-two", work="更好的做法。",
                                             actor="t")  # fmt: skip
        assert (changed.n, changed.work) == (2, "更好的做法。")
        jury = await arena.jury(contest)
        own = await arena.person(first.org)
        await arena.contests.name_juror(contest, own, actor="tests")
        assert await arena.contests.to_judge(contest, jury[0]) == []
        with pytest.raises(NotThePhase):
            await arena.contests.score(contest, 1, person=jury[0], score_bps=1, note="太早")
        arena.later(monkeypatch, 11)
        seen = await arena.contests.to_judge(contest, jury[0])
        assert [(one.n, one.kind, one.work) for one in seen] == [(1, "agent", WORK), (2, "agent", "更好的做法。")]
        for word in ("甲公司", "arena-one", str(first.org), str(second.org)):
            assert word not in repr(seen)
        assert [one.n for one in await arena.contests.to_judge(contest, own)] == [2]
        with pytest.raises(OwnListing):
            await arena.contests.score(contest, 1, person=own, score_bps=10_000, note="自己的")
        for points, juror in zip((60, 70, 80), jury, strict=True):
            await arena.contests.score(contest, 1, person=juror, score_bps=points * 100, note="清楚")
        with pytest.raises(NotJudged, match="#2"):
            await arena.contests.decide(contest, actor="another")
        for juror in jury:
            await arena.contests.score(contest, 2, person=juror, score_bps=9_000, note="更好")
        cash = await arena.cash(second.org)
        decided = await arena.contests.decide(contest, actor="another")
        assert arena.contests.phase(decided) is Phase.DECIDED
        await arena.contests.decide(contest, actor="another")  # again: nothing more happens
        told = (await first.http.get(f"/api/store/contests/{contest}")).json()
        assert [(one["place"], one["name"], one["mean_bps"], one["prize_fen"]) for one in told["winners"]] == [
            (1, "agent/arena-two", 9_000, POOL // 2), (2, "agent/arena-one", 7_000, POOL * 3 // 10),
        ]  # fmt: skip
        assert await arena.cash(second.org) - cash == POOL // 2
        file = await market.services.programmes.file(UUID(told["winners"][0]["application"]))
        posting = await market.services.ledger.posting(file.tranches[0].posting)  # type: ignore[arg-type]
        assert sum(one.amount for one in posting.transfers) == POOL // 2
        listing = (await second.http.get("/api/store/listings/agent/arena-two")).json()
        assert [(one["title_zh"], one["place"]) for one in listing["honours"]] == [("政务智能体大赛", 1)]
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute("UPDATE store.entry SET mean_bps = 1 WHERE contest = $1", contest)
        with pytest.raises(NotThePhase):
            await arena.contests.score(contest, 1, person=jury[0], score_bps=10_000, note="太晚")

    async def test_prize_waits_for_its_budget_and_is_paid_once(
        self, arena: Arena, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        big = 900_000_000
        contest = (await arena.call(pool_fen=big)).id
        maker = await arena.maker("arena-waits", "丁公司")
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-waits", work=WORK, actor="t")
        jury = await arena.jury(contest)
        arena.later(monkeypatch, 11)
        for juror in jury:
            await arena.contests.score(contest, 1, person=juror, score_bps=5_000, note="可以")
        await arena.contests.decide(contest, actor="another")
        assert await arena.cash(maker.org) == 0
        programmes = market.services.programmes
        await programmes.budgets.fund("contest_cash", big, reason="tests", actor="tests", funding_id=new_id())
        for _ in range(2):
            await arena.contests.pay_due()
            await programmes.tick()
        assert await arena.cash(maker.org) == big // 2

    async def test_prize_that_cannot_be_applied_for_yet_is_applied_for_later(
        self, arena: Arena, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contest = (await arena.call()).id
        first, last = await arena.maker("arena-early", "壬公司"), await arena.maker("arena-unheard", "癸公司")
        await arena.contests.enter(contest, owner=first.org, listing="agent/arena-early", work=WORK, actor="t")
        await arena.contests.enter(contest, owner=last.org, listing="agent/arena-unheard", work=WORK, actor="t")
        jury, asked, made = await arena.jury(contest), list[UUID](), new_id()
        arena.later(monkeypatch, 11)
        for juror in jury:
            await arena.contests.score(contest, 1, person=juror, score_bps=5_000, note="可以")
        arena.later(monkeypatch, 21)

        async def award(org: UUID, _: UUID) -> UUID | None:
            asked.append(org)
            return made if len(asked) > 1 else None

        monkeypatch.setattr(arena.contests, "_award", award)
        assert (await arena.contests.decide(contest, actor="another")).paid_at is None
        for _ in range(2):
            await arena.contests.pay_due()
        assert asked == [first.org, first.org]  # until it could be, and for a place alone
        assert [one.application for one in await arena.contests.winners(contest)] == [made]
        assert await arena.contests.won(first.org, contest) == (POOL, 1)
        assert await arena.contests.won(last.org, contest) is None
        honours = arena.market.services.store.honours
        assert [len(await honours(f"agent/{slug}")) for slug in ("arena-early", "arena-unheard")] == [1, 0]

    async def test_entry_of_who_leaves_goes_and_nobody_elses(self, arena: Arena) -> None:
        contest, other = (await arena.call()).id, (await arena.call()).id
        goes, stays = await arena.maker("arena-goes", "子公司"), await arena.maker("arena-stays", "丑公司")
        for number, party, slug in ((contest, goes, "goes"), (contest, stays, "stays"), (other, stays, "stays")):
            await arena.contests.enter(number, owner=party.org, listing=f"agent/arena-{slug}", work=WORK, actor="t")
        services = arena.market.services
        await contest_store.withdraw_all(services.db, goes.org, services.clock.now())
        standing = await arena.contests.standing((contest, other))
        assert {one: len(entries) for one, entries in standing.items()} == {contest: 1, other: 1}
        gone = await arena.contests.entry(contest, goes.org)
        assert gone is not None
        assert gone.withdrawn_at is not None

    async def test_entry_is_ones_own_and_says_no_name(self, arena: Arena) -> None:
        contest = (await arena.call()).id
        maker, other = await arena.maker("arena-named", "丙 公司"), await arena.maker("arena-other", "戊公司")
        for work in ("丙公司出品", "ＡＲＥＮＡ－ＮＡＭＥＤ 助手"):
            with pytest.raises(SaysItsName):
                await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-named", work=work, actor="t")
        with pytest.raises(UnknownListing):
            await arena.contests.enter(contest, owner=other.org, listing="agent/arena-named", work=WORK, actor="t")
        made = await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-named", work=WORK, actor="t")
        with pytest.raises(BadContest):
            await arena.contests.enter(contest, owner=other.org, listing="agent/arena-other", work=WORK, actor="t",
                                       entry_id=made.id)  # fmt: skip
        again = await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-named", work="更好。",
                                           actor="t", entry_id=made.id)  # fmt: skip
        assert (again.id, again.n, again.work) == (made.id, 1, "更好。")
        await arena.contests.withdraw(contest, owner=maker.org)
        assert await arena.contests.standing([contest]) == {contest: []}

    async def test_entry_changes_though_the_contest_is_full(
        self, arena: Arena, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.store.contests.ENTRIES_MAX", 1)
        contest = (await arena.call()).id
        maker, late = await arena.maker("arena-full", "己公司"), await arena.maker("arena-late", "庚公司")
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-full", work=WORK, actor="t")
        again = await arena.contests.enter(
            contest, owner=maker.org, listing="agent/arena-full", work="更好。", actor="t"
        )
        assert (again.n, again.work) == (1, "更好。")
        with pytest.raises(BadContest):
            await arena.contests.enter(contest, owner=late.org, listing="agent/arena-late", work=WORK, actor="t")

    async def test_is_not_left_by_an_entry_while_it_is_decided(self, arena: Arena, market: Market) -> None:
        db, contest = market.services.db, (await arena.call()).id
        maker, now = await arena.maker("arena-leaves", "辛公司"), market.services.clock.now()
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-leaves", work=WORK, actor="t")
        async with db.transaction() as conn:
            assert await contest_store.contest(conn, contest, lock=True) is not None
            leaving = asyncio.create_task(contest_store.withdraw_all(db, maker.org, now))
            await asyncio.wait({leaving}, timeout=0.3)
            await contest_store.set_decided(conn, contest, now, "t")
        await leaving
        entry = await arena.contests.entry(contest, maker.org)
        assert entry is not None
        assert entry.withdrawn_at is None

    async def test_takes_nothing_more_from_anybody_while_it_is_decided(
        self, arena: Arena, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        db, contests, contest = market.services.db, arena.contests, (await arena.call()).id
        maker, late = await arena.maker("arena-in", "壬公司"), await arena.maker("arena-out", "癸公司")
        await contests.enter(contest, owner=maker.org, listing="agent/arena-in", work=WORK, actor="t")
        (juror,) = await arena.jury(contest, 1)
        acts = [
            contests.enter(contest, owner=late.org, listing="agent/arena-out", work=WORK, actor="t"),
            contests.withdraw(contest, owner=maker.org),
            contests.name_juror(contest, await arena.person(), actor="t"),
            contests.dismiss_juror(contest, juror, actor="t"),
        ]
        async with db.transaction() as conn:
            assert await contest_store.contest(conn, contest, lock=True) is not None
            waiting = [asyncio.create_task(act) for act in acts]
            await asyncio.wait(waiting, timeout=0.3)
            await contest_store.set_decided(conn, contest, market.services.clock.now(), "another")
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in done] == [NotThePhase] * len(acts)

    async def test_few_jurors_give_no_place_and_strangers_none(
        self, arena: Arena, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contest = (await arena.call()).id
        maker = await arena.maker("arena-few", "己公司")
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-few", work=WORK, actor="t")
        jury = await arena.jury(contest)
        arena.later(monkeypatch, 11)
        with pytest.raises(NotAJuror):
            await arena.contests.to_judge(contest, await arena.person())
        for juror in jury:
            await arena.contests.score(contest, 1, person=juror, score_bps=5_000, note="可以")
        await arena.contests.dismiss_juror(contest, jury[0], actor="tests")
        with pytest.raises(NotJudged):
            await arena.contests.decide(contest, actor="another")
        arena.later(monkeypatch, 21)
        await arena.contests.decide(contest, actor="another")
        assert await arena.contests.winners(contest) == []

    async def test_points_of_who_became_related_do_not_count(
        self, arena: Arena, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contest = (await arena.call()).id
        maker = await arena.maker("arena-kin", "庚公司")
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-kin", work=WORK, actor="t")
        jury = await arena.jury(contest, 4)
        arena.later(monkeypatch, 11)
        for juror, bps in zip(jury, (9_900, 5_000, 5_000, 5_000), strict=True):
            await arena.contests.score(contest, 1, person=juror, score_bps=bps, note="可以")
        await market.services.identity.orgs.set_member(maker.org, jury[0], Role.MEMBER, by="tests")
        await arena.contests.decide(contest, actor="another")
        assert [one.mean_bps for one in await arena.contests.winners(contest)] == [5_000]
        kept = await market.services.db.fetch(
            """SELECT s.juror, s.counted FROM store.entry_score s JOIN store.entry e ON e.id = s.entry
                WHERE e.contest = $1""",
            contest,
        )
        assert {row["juror"]: row["counted"] for row in kept} == {one: one != jury[0] for one in jury}

    async def test_is_decided_by_who_had_no_hand_in_it(
        self, arena: Arena, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contest = (await arena.call()).id
        maker = await arena.maker("arena-eyes", "辛公司")
        await arena.contests.enter(contest, owner=maker.org, listing="agent/arena-eyes", work=WORK, actor="t")
        await arena.contests.name_juror(contest, (spare := await arena.person()), actor="names")
        await arena.contests.dismiss_juror(contest, spare, actor="dismisses")
        arena.later(monkeypatch, 21)
        for hand in ("tests", "names", "dismisses"):
            assert not await arena.contests.may_decide([contest], hand)
            with pytest.raises(FourEyes):
                await arena.contests.decide(contest, actor=hand)
            with pytest.raises(asyncpg.RestrictViolationError):
                await market.services.db.execute(
                    "UPDATE store.contest SET decided_at = created_at, decided_by = $2 WHERE id = $1", contest, hand
                )
        with pytest.raises(OwnListing):
            await arena.contests.decide(contest, actor="another", person=await arena.person(maker.org))
        desk = await market.party("平台运营", permissions=frozenset({"store"}))
        refused = await desk.http.post(f"/api/store/contests/{contest}/decision")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "people_only")
        assert (await arena.contests.decide(contest, actor="another", person=await arena.person())).decided_at

    async def test_call_is_in_order_and_operators_only(self, arena: Arena, market: Market) -> None:
        today = market.services.clock.today()
        past = today - timedelta(1)
        last = {"entries_until": today + timedelta(20)}  # the jury would have no day
        for wrong in ({"title_zh": ""}, {"pool_fen": -1}, {"judged_until": today}, {"entries_until": past}, last):
            with pytest.raises(BadContest):
                await arena.call(**wrong)
        assert await arena.call(entries_until=today + timedelta(19))
        payer = await market.party("某公司")
        body = {"title_zh": "x", "title_en": "x", "call_zh": "x", "call_en": "x", "pool_fen": 1, "opens_on": str(today),
                "entries_until": str(today), "judged_until": str(today + timedelta(1))}  # fmt: skip
        assert (await payer.http.post("/api/store/contests", json=body)).status_code == 403
        assert (await payer.http.get(f"/api/store/contests/{(await arena.call()).id}/jury")).status_code == 403


class TestPlaces:
    @given(st.lists(st.lists(st.integers(0, 10_000), max_size=6), max_size=30), st.integers(1, 4))
    def test_are_given_once_by_the_mean_to_who_was_heard_enough(self, points: list[list[int]], least: int) -> None:
        at = datetime(2026, 11, 1, tzinfo=UTC)
        judged = [Judged(new_id(), n, at, tuple(one)) for n, one in enumerate(points, 1)]
        found = placed(judged, least)
        assert [one.place for one in found] == list(range(1, len(found) + 1))
        assert {one.id for one in found} == {one.id for one in judged if len(one.scores) >= least}
        assert [one.mean_bps for one in found] == sorted((one.mean_bps for one in found), reverse=True)

    def test_a_name_is_found_in_any_writing(self) -> None:
        assert gives_away("欢迎使用 青 山 机器人！", ["青山机器人"]) == "青山机器人"
        assert gives_away("Ｌｅｔｔｅｒｓ", ["letters"]) == "letters"
        assert gives_away("写信的助手", ["青山机器人", "x"]) is None
