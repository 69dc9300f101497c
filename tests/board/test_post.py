"""What may be posted, who sees it until when, and what an end means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shanhe.board import store
from shanhe.board.api import BadPost, Kind, MatchState, PostState, PostTaken, UnknownPost, WrongPostState
from shanhe.board.model import Words, checked

from .conftest import NEED, NOON, SOLUTION, UNTIL, Town

TODAY = NOON.date()


class TestWords:
    @pytest.mark.parametrize(
        ("words", "field"),
        [
            (replace(NEED, title="茶"), "title"),
            (replace(NEED, text="太短"), "text"),
            (replace(NEED, text="长" * 3_001), "text"),
            (replace(NEED, title="杀青\x1e温度"), "title"),
            (replace(NEED, sector="witchcraft"), "sector"),
            (replace(NEED, until=TODAY - timedelta(days=1)), "until"),
            (replace(NEED, until=TODAY + timedelta(days=367)), "until"),
            (replace(NEED, readiness=10), "readiness"),
            (replace(SOLUTION, readiness=0), "readiness"),
            (replace(NEED, budget_to_fen=None), "budget_to_fen"),
            (replace(NEED, budget_from_fen=12_000_001), "budget_to_fen"),
            (replace(NEED, budget_from_fen=-1), "budget_from_fen"),
            (replace(NEED, price_fen=1), "price_fen"),
            (replace(SOLUTION, budget_from_fen=1, budget_to_fen=1), "budget_to_fen"),
            (replace(SOLUTION, asks="要" * 501), "asks"),
        ],
    )
    def test_are_refused_by_their_field(self, words: Words, field: str) -> None:
        with pytest.raises(BadPost) as error:
            checked(words, TODAY)
        assert error.value.details["field"] == field

    def test_are_trimmed_and_end_lines_one_way(self) -> None:
        assert checked(replace(NEED, text=f"  {NEED.text}\r\n第二行 "), TODAY).text == f"{NEED.text}\n第二行"


class TestPost:
    async def test_is_a_draft_then_on_the_board_then_over(self, town: Town) -> None:
        firm, other, posts = await town.company(), await town.company("别家"), town.board.posts
        draft = await posts.write(uuid4(), firm, NEED, actor="test")
        assert draft.state is PostState.DRAFT
        with pytest.raises(UnknownPost):
            await posts.get(draft.id, other)
        with pytest.raises(UnknownPost):
            await posts.publish(draft.id, other)
        assert (await posts.publish(draft.id, firm)).state is PostState.OPEN
        assert [one.id for one in await posts.standing(Kind.NEED)] == [draft.id]
        assert await posts.standing(Kind.SOLUTION) == await posts.standing(Kind.NEED, "health") == []
        changed = await posts.change(draft.id, firm, replace(NEED, title="杀青火候在线控制"))
        assert (changed.revision, changed.words.title) == (2, "杀青火候在线控制")
        assert (await posts.change(draft.id, firm, changed.words)).revision == 2
        await town.later(days=(UNTIL - TODAY).days)
        assert (await posts.get(draft.id)).state is PostState.OPEN
        town.clock.advance(days=1)
        with pytest.raises(UnknownPost):  # before anybody ended it
            await posts.get(draft.id)
        assert await posts.standing(Kind.NEED) == []
        await town.later(days=0)
        assert (await posts.get(draft.id, firm)).state is PostState.EXPIRED
        with pytest.raises(UnknownPost):
            await posts.get(draft.id)
        with pytest.raises(BadPost, match="until"):
            await posts.publish(draft.id, firm)
        await posts.change(draft.id, firm, replace(NEED, until=UNTIL + timedelta(days=60)))
        assert (await posts.publish(draft.id, firm)).state is PostState.OPEN

    async def test_is_written_once_by_its_id(self, town: Town) -> None:
        firm, other, number = await town.company(), await town.company("别家"), uuid4()
        for _ in range(2):
            await town.board.posts.write(number, firm, NEED, actor="test")
        with pytest.raises(PostTaken):
            await town.board.posts.write(number, other, NEED, actor="test")
        assert len(await town.board.posts.of(firm)) == 1

    async def test_hides_its_owner_on_wish(self, town: Town) -> None:
        firm, posts = await town.company(), town.board.posts
        shown = await town.posted(firm, NEED)
        hidden = await town.posted(firm, replace(NEED, shows_name=False))
        assert (await posts.name_of(shown), await posts.name_of(hidden)) == ("云雾茶厂", "")
        assert await posts.name_of(hidden, firm) == "云雾茶厂"

    async def test_that_leaves_ends_what_was_under_way(self, town: Town) -> None:
        firm, lab = await town.company(), await town.researcher()
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        match = await town.meet(need, solution)
        await town.board.posts.withdraw(need.id, firm)
        view = await town.board.meetings.get(match, lab)
        assert view.match.state is MatchState.ENDED
        told = await town.notifier.inbox(uuid4(), [lab])
        assert "board.ended" in {notice.kind for notice in told}
        settled = await town.agreed(firm, lab)
        with pytest.raises(WrongPostState):
            await town.board.posts.withdraw(settled.need, firm)

    async def test_is_removed_by_the_city_for_a_reason_and_for_good(self, town: Town) -> None:
        firm, lab, posts = await town.company(), await town.researcher(), town.board.posts
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        match = await town.meet(need, solution)
        with pytest.raises(BadPost, match="why"):
            await posts.remove(solution.id, "坏", actor="operator")
        for _ in range(2):
            gone = await posts.remove(solution.id, "与本地产业无关的广告", actor="operator")
        assert (gone.state, gone.removed_why) == (PostState.REMOVED, "与本地产业无关的广告")
        assert (await town.board.meetings.get(match, firm)).match.state is MatchState.ENDED
        assert "board.removed" in {notice.kind for notice in await town.notifier.inbox(uuid4(), [lab])}
        assert await posts.standing(Kind.SOLUTION) == []
        for act in (posts.publish(solution.id, lab), posts.change(solution.id, lab, SOLUTION)):
            with pytest.raises(WrongPostState):
                await act
        stored = await town.db.fetchval("SELECT removed_why FROM board.post WHERE id = $1", solution.id)
        assert "广告" not in stored

    async def test_of_a_person_is_sealed_and_gone_with_them(self, town: Town) -> None:
        lab = await town.researcher()
        made = await town.posted(lab, SOLUTION)
        stored = await town.db.fetchval("SELECT title || text || asks FROM board.post WHERE id = $1", made.id)
        assert "杀青" not in stored
        assert [one.words.title for one in await town.board.finding.search(Kind.SOLUTION, "杀青")] == [
            SOLUTION.title
        ]  # fmt: skip
        person = (await town.identity.orgs.get(lab)).person_id
        assert person is not None
        await town.identity.people.erase(person, by="test")
        assert await town.board.posts.standing() == []
        assert await town.board.finding.search(Kind.SOLUTION, "杀青") == []
        assert await town.board.posts.forget(lab) == 1

    async def test_is_forgotten_though_its_owner_ended_more_since_than_a_page_shows(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab = await town.researcher()
        old, new = await town.posted(lab, SOLUTION), await town.posted(lab, NEED)
        await town.board.posts.withdraw(new.id, lab)
        monkeypatch.setattr(store, "PAGE_ROWS", 1)
        assert await town.board.posts.forget(lab) == 1
        assert (await town.board.posts.get(old.id, lab)).state is PostState.WITHDRAWN
