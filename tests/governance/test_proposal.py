"""A rule changes by discussion, vote, announcement and notice, and not otherwise; the big-data group may veto it."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.governance.api import (
    AlreadyVoted,
    BadProposal,
    NotDecided,
    NotForYou,
    NotSeated,
    ProposalConflict,
    State,
    TooSoon,
    Vote,
    WrongState,
)
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id

from .conftest import ANNOUNCED, STARTS, Hall, change, discount


class TestChange:
    async def test_of_a_rule_takes_effect_after_discussion_votes_announcement_and_notice(self, hall: Hall) -> None:
        proposer = await hall.person("finance")
        owner, office = await hall.person("digital"), await hall.person("digital")
        made = await hall.governance.deciding.propose(change(), person_id=proposer)
        assert (made.state, made.discuss_until, made.veto_until, made.effective_on) == (
            State.DISCUSSION, date(2026, 3, 9), date(2026, 4, 6), STARTS,
        )  # fmt: skip
        (words,) = hall.governance.deciding.changes(made)
        assert (words["before"], words["after"]) == (3000, 2500)
        assert "由 30 % 变为 25 %" in words["words"]["zh"]
        adopted = await hall.adopt(made, [owner, office])
        assert adopted.state is State.ADOPTED
        assert hall.rulebook.parameter("P1", "discount", STARTS) == 2500
        assert hall.rulebook.parameter("P1", "discount", STARTS - timedelta(days=1)) == 3000
        (recorded,) = await hall.amendments.recorded()
        assert recorded.decided_by == f"person:{proposer}, person:{office}"
        assert [kind for kind, _ in hall.entries] == ["governance.announced", "governance.adopted"]
        events = [row["event"] for row in (await hall.governance.deciding.file(made.id)).history]
        assert events == ["proposed", "voting", "step_passed", "approved", "announced", "adopted"]

    async def test_is_proved_before_it_is_taken(self, hall: Hall) -> None:
        person = await hall.person("digital")
        with pytest.raises(Invalid):
            await hall.governance.deciding.propose(change(discount(200_000)), person_id=person)
        assert await hall.governance.deciding.proposals() == []

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"announced_on": date(2026, 3, 9)}, TooSoon),  # still under discussion
            ({"content": discount(start=date(2026, 4, 30))}, TooSoon),  # a day short of its notice
            ({"content": discount(announced=date(2026, 3, 1))}, BadProposal),  # reaching back
            ({"content": {}}, BadProposal),
            ({"matter": "anything"}, BadProposal),
            ({"title": " "}, BadProposal),
        ],
    )
    async def test_keeps_its_days_and_its_form(self, hall: Hall, given: dict[str, object], error: type) -> None:
        person = await hall.person("digital")
        with pytest.raises(error):
            await hall.governance.deciding.propose(change(**given), person_id=person)

    async def test_goes_past_governance_by_no_other_way(self, hall: Hall) -> None:
        asked = await hall.amendments.propose("P1", discount(), amendment_id=new_id(), by="person:a")
        with pytest.raises(NotDecided):
            await hall.amendments.approve(asked.id, by="person:b")
        proposer = await hall.person("digital")
        made = await hall.governance.deciding.propose(change(), person_id=proposer)
        for content, by in ((discount(), "person:a"), (discount(2000), f"person:{proposer}")):
            with pytest.raises(ProposalConflict):  # its number would be taken, and it could not be adopted
                await hall.amendments.propose("P1", content, amendment_id=made.id, by=by)
        await hall.amendments.propose("P1", discount(), amendment_id=made.id, by=f"person:{proposer}")
        for day in (made.discuss_until, made.veto_until):  # proposed, not announced; announced, and open to a veto
            await hall.until(day)
            with pytest.raises(NotDecided):
                await hall.amendments.approve(made.id, by="person:b")
            if day == made.discuss_until:
                await hall.until(day + timedelta(days=1))
                for voter in (await hall.person("digital"), await hall.person("digital")):
                    await hall.governance.deciding.vote(made.id, voter, Vote.FOR)
        assert (await hall.governance.deciding.get(made.id)).state is State.ANNOUNCED
        assert await hall.amendments.recorded() == []

    async def test_is_what_was_announced_and_nothing_that_was_asked_for_under_its_number_before(
        self, hall: Hall
    ) -> None:
        number, proposer = new_id(), await hall.person("digital")
        await hall.amendments.propose("P1", discount(1000), amendment_id=number, by="person:a")
        made = await hall.governance.deciding.propose(change(id=number), person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=1))
        for voter in (await hall.person("digital"), await hall.person("digital")):
            await hall.governance.deciding.vote(made.id, voter, Vote.FOR)
        await hall.until(made.veto_until)
        hall.later(days=1)
        with pytest.raises(NotDecided):  # nobody voted for that
            await hall.amendments.approve(number, by="person:b")
        assert await hall.amendments.recorded() == []

    async def test_decided_on_the_day_of_its_announcement_is_announced_in_time(self, hall: Hall) -> None:
        proposer, one, two = await hall.person("finance"), await hall.person("digital"), await hall.person("digital")
        made = await hall.governance.deciding.propose(change(), person_id=proposer)
        await hall.until(made.announced_on)
        await hall.governance.deciding.vote(made.id, one, Vote.FOR)
        done = await hall.governance.deciding.vote(made.id, two, Vote.FOR)
        assert done.state is State.APPROVED

    async def test_that_another_made_impossible_fails_and_says_why(self, hall: Hall) -> None:
        proposer, one, two = await hall.person("finance"), await hall.person("digital"), await hall.person("digital")
        first = await hall.governance.deciding.propose(change(), person_id=proposer)
        second = await hall.governance.deciding.propose(change(discount(2000)), person_id=proposer)
        await hall.until(first.discuss_until + timedelta(days=1))
        for made in (first, second):
            for voter in (one, two):
                await hall.governance.deciding.vote(made.id, voter, Vote.FOR)
        await hall.until(first.veto_until + timedelta(days=1))
        ended = [await hall.governance.deciding.get(made.id) for made in (first, second)]
        assert [one.state for one in ended] == [State.ADOPTED, State.FAILED]
        assert ended[1].reason


class TestVote:
    async def test_is_by_those_whose_turn_it_is_and_nobody_else(self, hall: Hall) -> None:
        proposer, stranger = await hall.person("digital"), await hall.person("science")
        one, two = await hall.person("digital"), await hall.person("digital")
        deciding = hall.governance.deciding
        made = await deciding.propose(change(), person_id=proposer)
        with pytest.raises(WrongState):
            await deciding.vote(made.id, one, Vote.FOR)  # still under discussion
        await hall.until(made.discuss_until + timedelta(days=1))
        with pytest.raises(NotSeated):
            await deciding.vote(made.id, stranger, Vote.FOR)
        with pytest.raises(NotForYou):
            await deciding.vote(made.id, proposer, Vote.FOR)
        await deciding.vote(made.id, one, Vote.FOR)
        assert (await deciding.get(made.id)).step == 1
        with pytest.raises(NotForYou, match="earlier step"):  # both steps are of one department here
            await deciding.vote(made.id, one, Vote.FOR)
        done = await deciding.vote(made.id, two, Vote.FOR)
        assert done.state is State.APPROVED
        with pytest.raises(WrongState):
            await deciding.vote(made.id, one, Vote.FOR)

    async def test_against_needs_a_reason_and_ends_it(self, hall: Hall) -> None:
        proposer, one = await hall.person("digital"), await hall.person("digital")
        deciding = hall.governance.deciding
        made = await deciding.propose(change(), person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=1))
        with pytest.raises(BadProposal):
            await deciding.vote(made.id, one, Vote.AGAINST)
        ended = await deciding.vote(made.id, one, Vote.AGAINST, reason="测算不足")
        assert (ended.state, ended.reason) == (State.REJECTED, "测算不足")

    async def test_counts_each_person_once(self, hall: Hall) -> None:
        proposer, one = await hall.person("finance"), await hall.person("finance")
        deciding = hall.governance.deciding
        new = change({"change_bps": 500}, matter="new_debt", rule_id=None)
        made = await deciding.propose(new, person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=1))
        await deciding.vote(made.id, one, Vote.FOR)
        with pytest.raises(AlreadyVoted):
            await deciding.vote(made.id, one, Vote.FOR)
        assert (await deciding.get(made.id)).state is State.VOTING
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await hall.db.execute("DELETE FROM governance.vote")

    async def test_of_one_department_is_no_voice_of_the_next(self, hall: Hall) -> None:
        proposer, owner = await hall.person("industry"), await hall.person("industry", "finance")
        first, second = await hall.person("finance"), await hall.person("finance")
        deciding = hall.governance.deciding
        new = change({"change_bps": 500}, matter="budget_overrun", rule_id=None, department="industry")
        made = await deciding.propose(new, person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=1))
        passed = await deciding.vote(made.id, owner, Vote.FOR)
        assert (passed.step, passed.step_due) == (1, hall.clock.now() + timedelta(days=made.path[1].days))
        assert (await deciding.vote(made.id, first, Vote.FOR)).state is State.VOTING  # of finance one, and it takes two
        assert (await deciding.vote(made.id, second, Vote.FOR)).state is State.APPROVED

    async def test_that_is_late_is_told_and_too_late_rejects(self, hall: Hall) -> None:
        proposer, one, two = await hall.person("finance"), await hall.person("digital"), await hall.person("digital")
        deciding = hall.governance.deciding
        made = await deciding.propose(change(), person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=12))
        notices = await hall.db.fetch("SELECT kind FROM kernel.notice")
        assert [row["kind"] for row in notices] == ["governance.overdue"]
        await hall.until(ANNOUNCED + timedelta(days=1))
        await deciding.vote(made.id, one, Vote.FOR)
        done = await deciding.vote(made.id, two, Vote.FOR)
        assert (done.state, "late" in done.reason) == (State.REJECTED, True)


class TestVeto:
    async def test_of_the_data_group_ends_what_is_major(self, hall: Hall) -> None:
        proposer, one, two = await hall.person("finance"), await hall.person("digital"), await hall.person("digital")
        group = await hall.person("data_group")
        deciding = hall.governance.deciding
        made = await deciding.propose(change(), person_id=proposer)
        assert made.veto
        await hall.until(made.discuss_until + timedelta(days=1))
        for voter in (one, two):
            await deciding.vote(made.id, voter, Vote.FOR)
        await hall.until(made.veto_until)
        with pytest.raises(NotSeated):
            await deciding.veto(made.id, one, reason="no")
        for act in (deciding.veto(made.id, group, reason=" "), deciding.vote(made.id, group, Vote.VETO)):
            with pytest.raises(BadProposal, match="reason"):
                await act
        ended = await deciding.vote(made.id, group, Vote.VETO, reason="影响数据资产")
        assert ended.state is State.VETOED
        told = await hall.db.fetch("SELECT title_en FROM kernel.notice WHERE person_id = $1", proposer)
        assert len([row for row in told if row["title_en"].startswith("Proposal vetoed")]) == 1
        await hall.until(STARTS)
        assert hall.rulebook.parameter("P1", "discount", STARTS) == 3000
        assert hall.entries[-1][0] == "governance.vetoed"

    @pytest.mark.parametrize(("bps", "major"), [(1000, False), (1001, True)])
    async def test_meets_prices_only_above_the_threshold(self, hall: Hall, bps: int, major: bool) -> None:
        proposer, group = await hall.person("digital"), await hall.person("data_group")
        deciding = hall.governance.deciding
        new = change({"change_bps": bps}, matter="pricing_change", rule_id=None)
        made = await deciding.propose(new, person_id=proposer)
        assert made.veto is major
        await hall.until(made.discuss_until + timedelta(days=1))
        if major:
            assert (await deciding.veto(made.id, group, reason="过高")).state is State.VETOED
        else:
            with pytest.raises(NotForYou):
                await deciding.veto(made.id, group, reason="过高")


class TestProposal:
    async def test_is_one_however_often_it_is_sent(self, hall: Hall) -> None:
        person, new = await hall.person("digital"), change()
        first = await hall.governance.deciding.propose(new, person_id=person)
        assert await hall.governance.deciding.propose(new, person_id=person) == first
        with pytest.raises(ProposalConflict):
            await hall.governance.deciding.propose(change(discount(2400), id=new.id), person_id=person)
        with pytest.raises(NotSeated):
            await hall.governance.deciding.propose(change(), person_id=await hall.person())

    @pytest.mark.parametrize(
        "other",
        [
            {"why": "让更多人用得起"},
            {"announced_on": ANNOUNCED + timedelta(days=1)},
            {"effective_on": STARTS + timedelta(days=30)},
            {"department": "finance"},
        ],
    )
    async def test_is_another_with_other_words_or_days_and_takes_another_number(
        self, hall: Hall, other: dict[str, object]
    ) -> None:
        person, deciding = await hall.person("digital"), hall.governance.deciding
        values = {"matter": "pricing_change", "rule_id": None, "id": new_id(), "effective_on": STARTS}
        new = change({"change_bps": 100}, **values)
        first = await deciding.propose(new, person_id=person)
        hall.later(days=2)
        assert await deciding.propose(new, person_id=person) == first
        with pytest.raises(ProposalConflict):
            await deciding.propose(change({"change_bps": 100}, **values | other), person_id=person)
        assert await deciding.get(first.id) == first

    async def test_is_one_of_two_that_come_at_once_and_differ(
        self, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, deciding, new = await hall.person("digital"), hall.governance.deciding, change()
        asking = deciding.seats_of

        async def meanwhile(person_id: UUID) -> frozenset[str]:
            monkeypatch.setattr(deciding, "seats_of", asking)
            await deciding.propose(change(id=new.id, why="让更多人用得起"), person_id=person)
            return await asking(person_id)

        monkeypatch.setattr(deciding, "seats_of", meanwhile)
        with pytest.raises(ProposalConflict):
            await deciding.propose(new, person_id=person)

    async def test_is_taken_back_by_who_made_it_only(self, hall: Hall) -> None:
        person, other = await hall.person("digital"), await hall.person("digital")
        made = await hall.governance.deciding.propose(change(), person_id=person)
        with pytest.raises(NotForYou):
            await hall.governance.deciding.withdraw(made.id, other)
        assert (await hall.governance.deciding.withdraw(made.id, person)).state is State.WITHDRAWN

    async def test_is_discussed_and_forgets_who_is_erased(self, hall: Hall) -> None:
        person, writer = await hall.person("digital"), await hall.person()
        deciding = hall.governance.deciding
        made = await deciding.propose(change(), person_id=person)
        number = uuid4()
        for _ in range(2):
            await deciding.comment(made.id, writer, "我反对降低优惠", comment_id=number)
        assert [one.text for one in (await deciding.file(made.id)).comments] == ["我反对降低优惠"]
        stored = await hall.db.fetchval("SELECT text FROM governance.comment")
        assert "反对".encode() not in stored
        await hall.identity.people.erase(writer, by="test")
        assert [one.text for one in (await deciding.file(made.id)).comments] == [""]

    async def test_shows_all_that_was_said_of_it_page_after_page(self, hall: Hall) -> None:
        """Everybody who signs in may say something: what was taken must be there to read."""
        deciding, writer = hall.governance.deciding, await hall.person()
        made = await deciding.propose(change(), person_id=await hall.person("digital"))
        texts = [f"意见 {n}" for n in range(7)]
        for text in texts:
            await deciding.comment(made.id, writer, text, comment_id=new_id())
        said, past = list[str](), None
        while True:
            file = await deciding.file(made.id, past=past, most=3)
            said += [one.text for one in file.comments]
            if (past := file.following) is None:
                break
        assert said == texts

    async def test_takes_no_step_that_is_not_in_the_table(self, hall: Hall) -> None:
        person = await hall.person("digital")
        made = await hall.governance.deciding.propose(change(), person_id=person)
        with pytest.raises(asyncpg.PostgresError, match="cannot go from discussion to adopted"):
            await hall.db.execute("UPDATE governance.proposal SET state = 'adopted' WHERE id = $1", made.id)
