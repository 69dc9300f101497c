"""T10: interest, offers, acceptance by both; then 500 credits for each side, once, never between related parties."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from shanhe.board.api import (
    AlreadyMeeting,
    BadMatch,
    Kind,
    Match,
    MatchState,
    OfferChanged,
    OwnPost,
    PostState,
    TooManyMatches,
    UnknownMatch,
    UnknownPost,
    WrongMatchState,
    WrongPostState,
)
from shanhe.identity.api import NewPerson, Role
from shanhe.kernel.errors import ShanheError

from .conftest import CREDIT, NEED, SOLUTION, TERMS, Town

REWARD = 500 * CREDIT


class TestMatch:
    async def test_goes_from_interest_over_offers_to_both_paid(self, town: Town) -> None:
        await town.fund()
        firm, lab, meetings = await town.company(), await town.researcher(), town.board.meetings
        need = await town.posted(firm, NEED)
        solution = await town.posted(lab, replace(SOLUTION, shows_name=False))
        number = uuid4()
        for _ in range(2):
            view = await meetings.interest(number, firm, need.id, solution.id, "愿意谈一谈", actor="test")
        assert (view.match.state, view.partner, len(view.words)) == (MatchState.INTEREST, "", 1)
        with pytest.raises(AlreadyMeeting):
            await meetings.interest(uuid4(), lab, need.id, solution.id, "我也愿意", actor="test")
        told = [[one.kind for one in await town.notifier.inbox(uuid4(), [org])] for org in (firm, lab)]
        assert told == [[], ["board.interest"]]
        first = await meetings.offer(number, lab, TERMS, 9_000_000, after=0, actor="test")
        assert [one.kind for one in await town.notifier.inbox(uuid4(), [firm])] == ["board.offer"]
        assert first.match.solution_accepted_at is not None
        assert (await meetings.get(number, firm)).partner == "林晓"
        again = await meetings.offer(number, lab, TERMS, 9_000_000, after=0, actor="test")
        assert (again.match.round, len(again.words)) == (1, 2)
        second = await meetings.offer(number, firm, TERMS, 8_000_000, after=1, actor="test")
        assert (second.match.round, second.match.solution_accepted_at) == (2, None)
        with pytest.raises(OfferChanged):
            await meetings.accept(number, lab, round_=1, actor="test")
        with pytest.raises(BadMatch, match="own offer"):
            await meetings.accept(number, firm, round_=2, actor="test")
        for _ in range(2):
            done = await meetings.accept(number, lab, round_=2, actor="test")
        assert done.match.state is MatchState.AGREED
        assert [word.kind for word in done.words] == ["interest", "offer", "offer", "accept"]
        assert [one.kind for one in await town.notifier.inbox(uuid4(), [firm])].count("board.accept") == 1
        assert done.reward is not None
        assert (done.reward["state"], done.reward["reasons"]) == ("completed", [])
        assert (await town.balance(firm), await town.balance(lab)) == (REWARD, REWARD)
        assert (await town.board.posts.get(need.id, firm)).state is PostState.MATCHED
        with pytest.raises(WrongMatchState):
            await meetings.leave(number, firm, actor="test")
        assert (await town.ledger.verify()).clean

    async def test_of_a_need_and_a_solution_named_the_wrong_way_round_waits_for_nobody(self, town: Town) -> None:
        """Two who wait for each other's posts would both be refused, and one of them asked rightly."""
        firm, lab, meetings = await town.company(), await town.company("农机所"), town.board.meetings
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        async with town.db.transaction() as others, asyncio.timeout(20):
            await others.fetchrow("SELECT FROM board.post WHERE id = $1 FOR UPDATE", need.id)
            with pytest.raises(UnknownPost):
                await meetings.interest(uuid4(), firm, solution.id, need.id, "愿意谈一谈", actor="test")
        for one, other in ((need, need), (solution, solution), (need, replace(solution, id=uuid4()))):
            with pytest.raises(UnknownPost):
                await meetings.interest(uuid4(), firm, one.id, other.id, "愿意谈一谈", actor="test")

    async def test_ends_before_acceptance_by_either_word(self, town: Town) -> None:
        await town.fund()
        firm, lab, meetings = await town.company(), await town.company("农机所"), town.board.meetings
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        match = await town.meet(need, solution)
        assert (await meetings.leave(match, lab, "暂不考虑", actor="test")).match.state is MatchState.DECLINED
        with pytest.raises(WrongMatchState):
            await meetings.accept(match, lab, round_=1, actor="test")
        match = await town.meet(need, solution)
        for _ in range(2):
            assert (await meetings.leave(match, firm, actor="test")).match.state is MatchState.WITHDRAWN
        assert (await town.balance(firm), await town.balance(lab)) == (0, 0)

    async def test_begins_between_posts_that_stand_on_the_board_alone(self, town: Town) -> None:
        firm, lab, meetings = await town.company(), await town.company("农机所"), town.board.meetings
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        await town.board.posts.withdraw(need.id, firm)
        for who, refusal in ((firm, WrongPostState), (lab, UnknownPost)):
            with pytest.raises(refusal):
                await meetings.interest(uuid4(), who, need.id, solution.id, "愿意谈一谈", actor="t")
        assert await meetings.of(firm) == []

    async def test_is_one_of_so_many_that_a_post_has_at_a_time(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.board.meetings.MEETINGS_MAX", 1)
        firm, meetings = await town.company(), town.board.meetings
        need = await town.posted(firm, NEED)
        labs = [await town.company(f"所{n}") for n in range(2)]
        one, other = [await town.posted(lab, SOLUTION) for lab in labs]
        first = await town.meet(need, one)
        with pytest.raises(TooManyMatches):
            await town.meet(need, other, by=Kind.SOLUTION)
        await meetings.leave(first, labs[0], actor="t")
        await town.meet(need, other, by=Kind.SOLUTION)

    async def test_is_nobody_elses(self, town: Town) -> None:
        firm, lab, stranger = await town.company(), await town.company("农机所"), await town.company("路人")
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        meetings, match = town.board.meetings, await town.meet(need, solution)
        for act in (
            meetings.get(match, stranger), meetings.accept(match, stranger, round_=1, actor="t"),
            meetings.offer(match, stranger, TERMS, None, after=1, actor="t"),
            meetings.leave(match, stranger, actor="t"),
        ):  # fmt: skip
            with pytest.raises(UnknownMatch):
                await act
        with pytest.raises(UnknownPost):
            await meetings.interest(uuid4(), stranger, need.id, solution.id, "让我来", actor="t")
        own = await town.posted(firm, SOLUTION)
        with pytest.raises(UnknownPost):  # not even that both are of one organisation
            await meetings.interest(uuid4(), stranger, need.id, own.id, "让我来", actor="t")
        with pytest.raises(OwnPost):
            await meetings.interest(uuid4(), firm, need.id, own.id, "自己对自己", actor="t")
        third = await town.posted(await town.company("另一所"), SOLUTION)
        with pytest.raises(AlreadyMeeting):  # the number of another match
            await meetings.interest(match, firm, need.id, third.id, "愿意谈一谈", actor="t")

    async def test_says_nothing_of_who_is_related_before_it_is_known_who_it_is(self, town: Town) -> None:
        owner = await town.identity.people.create(NewPerson("林晓", login="owner"), by="t")
        firm, lab = await town.company(), await town.company("农机所")
        for org in (firm, lab):
            await town.identity.orgs.set_member(org, owner.id, Role.OWNER, by="t")
        hidden = replace(SOLUTION, shows_name=False)
        need, solution = await town.posted(firm, NEED), await town.posted(lab, hidden)
        number, meetings = uuid4(), town.board.meetings
        view = await meetings.interest(number, firm, need.id, solution.id, "愿意谈一谈", actor="t")
        assert (view.partner, view.related) == ("", None)
        assert (await meetings.get(number, lab)).related  # of whoever shows their name
        await meetings.offer(number, lab, TERMS, None, after=0, actor="t")
        assert (await meetings.get(number, firm)).related
        await meetings.leave(number, firm, actor="t")
        assert (await meetings.get(number, firm)).related is None

    async def test_solves_a_need_once_whoever_accepts_at_the_same_time(self, town: Town) -> None:
        await town.fund()
        firm, labs = await town.company(), [await town.company(f"所{n}") for n in range(3)]
        need = await town.posted(firm, NEED)
        found = [await town.meet(need, await town.posted(lab, SOLUTION), by=Kind.SOLUTION) for lab in labs]
        accepts = [town.board.meetings.accept(match, firm, round_=1, actor="t") for match in found * 2]
        done = await asyncio.gather(*accepts, return_exceptions=True)
        assert all(not isinstance(one, Exception) or isinstance(one, WrongMatchState) for one in done), done
        states = sorted([(await town.board.meetings.get(match, firm)).match.state for match in found])
        assert states == [MatchState.AGREED, MatchState.ENDED, MatchState.ENDED]
        assert await town.balance(firm) == REWARD
        assert sorted([await town.balance(lab) for lab in labs]) == [0, 0, REWARD]


class TestReward:
    async def test_is_none_between_related_parties_with_the_reason(self, town: Town) -> None:
        await town.fund()
        firm, sister = await town.company(), await town.company("姐妹厂")
        person = await town.identity.people.create(NewPerson("股东", login="both"), by="test")
        for org in (firm, sister):
            await town.identity.orgs.set_member(org, person.id, Role.OWNER, by="test")
        match = await town.agreed(firm, sister)
        view = await town.board.meetings.get(match.id, firm)
        assert view.related
        assert view.reward is not None
        assert view.reward["state"] == "refused"
        assert "关联方" in view.reward["reasons"][0]["zh"]
        assert (await town.balance(firm), await town.balance(sister)) == (0, 0)

    async def test_waits_for_its_budget_and_comes_back_if_the_match_was_made_up(self, town: Town) -> None:
        firm, lab, programmes = await town.company(), await town.company("农机所"), town.programmes
        match = await town.agreed(firm, lab)
        assert match.application is not None
        assert (await programmes.file(match.application)).application.state == "waiting_budget"
        await town.fund()
        await programmes.tick()
        assert (await town.balance(firm), await town.balance(lab)) == (REWARD, REWARD)
        await programmes.awards.claw_back(match.application, "error", note="虚构", actor="test")
        assert (await town.balance(firm), await town.balance(lab)) == (0, 0)
        assert (await town.ledger.verify()).clean

    async def test_is_asked_for_again_after_a_crash_and_once(self, town: Town) -> None:
        await town.fund()
        firm, lab, db = await town.company(), await town.company("农机所"), town.db
        match = await town.agreed(firm, lab)
        await db.execute("UPDATE board.match SET application = NULL")
        await asyncio.gather(town.board.tick(), town.board.tick())
        assert (await town.board.meetings.get(match.id, firm)).match.application == match.application
        assert await town.balance(firm) == REWARD

    async def test_that_there_can_be_none_of_is_said_and_asked_for_no_more(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        firm, lab, meetings = await town.company(), await town.company("农机所"), town.board.meetings
        why = {"zh": "已有奖励", "en": "There is one"}
        answers: list[tuple[None, dict[str, str] | None]] = [(None, None), (None, why), (None, why)]

        async def award(_: Match) -> tuple[None, dict[str, str] | None]:
            return answers.pop(0)

        monkeypatch.setattr(meetings, "_award", award)
        match = await town.agreed(firm, lab)  # it can't be asked for just now
        assert (await meetings.get(match.id, firm)).reward is None
        assert [await meetings.tick(), await meetings.tick()] == [1, 0]
        view = await meetings.get(match.id, firm)
        assert view.reward == {"state": "barred", "reasons": [why], "payments": []}
        assert len(answers) == 1

    async def test_is_not_for_somebody_elses_match_or_another_partner(self, town: Town) -> None:
        await town.fund()
        firm, lab, friend = await town.company(), await town.company("农机所"), await town.company("朋友")
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        number = await town.meet(need, solution)

        async def by_hand(org: object, partner: object, ref: str) -> str:
            try:
                return str((await town.programmes.applying.apply(
                    "research_match", org, answers={"match": str(number), "partner": str(partner)}, evidence={},  # type: ignore[arg-type]
                    client_ref=ref, actor="test",
                )).state)  # fmt: skip
            except ShanheError as error:
                return error.code

        assert await by_hand(firm, lab, "early") == "not_decidable"
        await town.board.meetings.accept(number, lab, round_=1, actor="test")
        tries = ((firm, friend), (friend, lab), (lab, friend), (lab, firm))
        assert {await by_hand(one, other, f"a{n}") for n, (one, other) in enumerate(tries)} == {"refused"}
        assert await by_hand(firm, lab, "again") == "already_claimed"
        assert [await town.balance(org) for org in (firm, lab, friend)] == [REWARD, REWARD, 0]
