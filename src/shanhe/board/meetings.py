"""How a need and a solution come to terms: interest, offers, acceptance by both, and the reward that follows (T10).

An offer is accepted by whoever makes it; the other side accepts it by its number, so that nobody accepts what they have
not read. Until both have, either may leave. What was agreed is in the database before a reward is asked for; the
programme engine pays it, once, and says itself when it doesn't.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from shanhe.board import store
from shanhe.board.errors import (
    AlreadyMeeting,
    BadMatch,
    OfferChanged,
    OwnPost,
    TooManyMatches,
    UnknownMatch,
    UnknownPost,
    WrongMatchState,
    WrongPostState,
)
from shanhe.board.model import (
    COUNTING,
    FEN_MAX,
    LIVE,
    MEETINGS_MAX,
    NOTE_CHARS,
    OFFER_CHARS,
    UNSEEN,
    WORDS_MAX,
    Kind,
    Match,
    MatchState,
    Post,
    PostState,
    Word,
    plain,
)
from shanhe.board.service import Posts
from shanhe.kernel.asking import Related
from shanhe.kernel.notify import Notice, Text

WORD: Final = "board.word.text"
Award = Callable[[Match], Awaitable[tuple[UUID | None, Mapping[str, str] | None]]]
"""Asks for a match's reward, any number of times: (application, None), or (None, why there can be none), or (None,
None) when it can't be asked for just now."""
Told = Callable[[UUID], Awaitable[Mapping[str, Any]]]
"""What became of an application: state, reasons, payments."""


@dataclass(frozen=True, slots=True)
class View:
    """A match as one of its sides sees it. `partner` is empty while the other side wants its name unsaid; `related` is
    None until it is known who the other is, and in a list."""

    match: Match
    mine: Kind
    need: Post
    solution: Post
    partner: str
    words: tuple[Word, ...]
    related: bool | None
    reward: Mapping[str, Any] | None


def _known(theirs: Post, words: Sequence[Word]) -> bool:
    """Whether a side is known by name to the other: by its post, or since it said something."""
    return theirs.words.shows_name or any(word.side is theirs.kind for word in words)


class Meetings:
    """Matches of one city. `related`: whether two organisations are related parties (R0)."""

    def __init__(self, posts: Posts, *, award: Award, told: Told, related: Related) -> None:
        self._posts = posts
        self._db = posts.db
        self._clock = posts.clock
        self._award = award
        self._told = told
        self._related = related

    # -- reading ------------------------------------------------------------------------------------------------------

    async def of(self, org_id: UUID, *, most: int = store.PAGE_ROWS) -> list[View]:
        """Matches of an organisation, the last changed first; whether the sides are related is said of one alone."""
        return await self._views(await store.matches(self._db, org_id, most), org_id)

    async def get(self, identifier: UUID, org_id: UUID) -> View:
        """A match of one's own; UnknownMatch."""
        match = await self._mine(self._db, identifier, org_id)
        (view,) = await self._views([match], org_id)
        theirs = view.solution if view.mine is Kind.NEED else view.need
        if match.state not in COUNTING or not _known(theirs, view.words):
            return view
        return replace(view, related=await self.are_related(match))

    async def between(self, one: Post, other: Post) -> Match | None:
        """The match in which two posts are in touch or came to terms."""
        need, solution = (one, other) if one.kind is Kind.NEED else (other, one)
        return await store.pair(self._db, need.id, solution.id)

    async def agreed(self, identifier: UUID) -> Match | None:
        """An agreed match; None for any other."""
        return await store.agreed_of(self._db, identifier)

    async def are_related(self, match: Match) -> bool:
        """Whether its two sides are related parties, who are not rewarded (R0)."""
        return await self._related(match.need_org, match.solution_org)

    async def _views(self, matches: Sequence[Match], org_id: UUID) -> list[View]:
        posts = await store.posts(self._db, {post for one in matches for post in (one.need, one.solution)})
        opened = {one.id: await self._posts.opened(one) for one in posts}
        words, seals = await store.words(self._db, [one.id for one in matches]), self._posts.seals
        said = {
            match: tuple([replace(word, text=await seals.open(word.org_id, WORD, word.text)) for word in each])
            for match, each in words.items()
        }
        sides = [(one, one.side(org_id), opened[one.need], opened[one.solution]) for one in matches]
        theirs = {one.id: solution if mine is Kind.NEED else need for one, mine, need, solution in sides}
        known = {match: post.org_id for match, post in theirs.items() if _known(post, said[match])}
        names = await self._posts.names(set(known.values()))
        views = []
        for match, mine, need, solution in sides:
            assert mine is not None
            partner = names.get(known[match.id], "") if match.id in known else ""
            views.append(View(match, mine, need, solution, partner, said[match.id], None, await self._reward(match)))
        return views

    async def _reward(self, match: Match) -> Mapping[str, Any] | None:
        if match.application is not None:
            return await self._told(match.application)
        if match.barred is not None:
            return {"state": "barred", "reasons": [match.barred], "payments": []}
        return None

    # -- coming to terms ----------------------------------------------------------------------------------------------

    async def interest(
        self, identifier: UUID, org_id: UUID, need: UUID, solution: UUID, note: str, *, actor: str
    ) -> View:
        """Show interest with one's own need in a solution, or the other way round. Idempotent by id."""
        note = _said(note, NOTE_CHARS)
        async with self._db.transaction() as conn:
            one, other = await self._posts_of(conn, need, solution)
            side = {one.org_id: Kind.NEED, other.org_id: Kind.SOLUTION}.get(org_id)
            if side is None:  # before anything is said of whose the posts are
                raise UnknownPost
            if one.org_id == other.org_id:
                raise OwnPost
            known = await store.match(conn, identifier)
            if known is None:
                for post in (one, other):
                    if not post.stands(self._clock.today()):
                        raise WrongPostState(post.state) if post.org_id == org_id else UnknownPost
                    if len(await store.live(conn, post.id)) >= MEETINGS_MAX:
                        raise TooManyMatches(MEETINGS_MAX)
                await self._open(conn, identifier, one, other, side, note, actor)
            elif (known.need, known.solution, known.opened_by) != (need, solution, side):
                raise AlreadyMeeting(identifier) if known.side(org_id) else UnknownMatch
        return await self.get(identifier, org_id)

    async def _open(
        self, conn: Any, identifier: UUID, need: Post, solution: Post, side: Kind, note: str, actor: str
    ) -> None:
        now = self._clock.now()
        if not await store.open_match(conn, identifier, need, solution, side, now):
            pair = await store.pair(conn, need.id, solution.id)
            raise AlreadyMeeting(pair.id if pair is not None else identifier)
        match = await store.match(conn, identifier)
        assert match is not None
        await self._say(conn, match, side, "interest", note, None, actor)

    async def offer(
        self, identifier: UUID, org_id: UUID, text: str, fee_fen: int | None, *, after: int, actor: str
    ) -> View:
        """Terms, which one accepts by naming them; they replace offer number `after` (0: there is none yet).

        OfferChanged when another stands; the same again is the standing one.
        """
        text = _said(text, OFFER_CHARS)
        if fee_fen is not None and not 0 <= fee_fen <= FEN_MAX:
            raise BadMatch(f"The fee is 0 to {FEN_MAX} fen", f"金额须为 0–{FEN_MAX} 分")
        async with self._db.transaction() as conn:
            match, mine = await self._locked(conn, identifier, org_id)
            if match.state not in LIVE:
                raise WrongMatchState(match.state)
            if match.round != after:
                if not await self._standing(conn, match, mine, text, fee_fen, after):
                    raise OfferChanged(match.round)
            else:
                await store.offer(conn, match.id, mine, self._clock.now())
                await self._say(conn, match, mine, "offer", text, fee_fen, actor)
        return await self.get(identifier, org_id)

    async def _standing(self, conn: Any, match: Match, mine: Kind, text: str, fee_fen: int | None, after: int) -> bool:
        """Whether an offer was made already and stands."""
        if match.round != after + 1 or match.offered_by is not mine:
            return False
        words = (await store.words(conn, [match.id]))[match.id]
        last = [word for word in words if word.kind == "offer"][-1]
        return (await self._posts.seals.open(last.org_id, WORD, last.text), last.fee_fen) == (text, fee_fen)

    async def accept(self, identifier: UUID, org_id: UUID, *, round_: int, actor: str) -> View:
        """Accept the other side's offer of this number: the need is solved, and both are rewarded. Idempotent."""
        async with self._db.transaction() as conn:
            match, mine = await self._locked(conn, identifier, org_id)
            if match.state is not MatchState.AGREED:
                if match.state is not MatchState.OFFER:
                    raise WrongMatchState(match.state)
                if match.round != round_:
                    raise OfferChanged(match.round)
                if match.offered_by is mine:
                    raise BadMatch("It is your own offer; the other side accepts it", "这是贵方的报价，须由对方确认")
                need = await store.post(conn, match.need)
                assert need is not None
                await store.agree(conn, match.id, self._clock.now())
                await self._posts.end(conn, need, PostState.MATCHED, apart=match.id)
                await self._say(conn, match, mine, "accept", "", None, actor)
        await self.reward(identifier)
        return await self.get(identifier, org_id)

    async def leave(self, identifier: UUID, org_id: UUID, note: str = "", *, actor: str) -> View:
        """End a match before both accepted: whoever opened it withdraws, the other declines. Idempotent."""
        note = _said(note, (0, NOTE_CHARS[1]))
        async with self._db.transaction() as conn:
            match, mine = await self._locked(conn, identifier, org_id)
            ends = MatchState.WITHDRAWN if match.opened_by is mine else MatchState.DECLINED
            if match.state is not ends:
                if match.state not in LIVE:
                    raise WrongMatchState(match.state)
                await store.set_match(conn, match.id, ends, self._clock.now())
                await self._say(conn, match, mine, "withdraw" if ends is MatchState.WITHDRAWN else "decline", note,
                                None, actor)  # fmt: skip
        return await self.get(identifier, org_id)

    # -- rewards ------------------------------------------------------------------------------------------------------

    async def reward(self, identifier: UUID) -> None:
        """Ask for the reward of an agreed match, if nobody did; again after a crash."""
        match = await store.agreed_of(self._db, identifier)
        if match is None or match.application is not None or match.barred is not None:
            return
        application, barred = await self._award(match)
        if application is not None:
            await store.set_application(self._db, match.id, application)
        elif barred is not None:
            await store.bar(self._db, match.id, dict(barred))

    async def tick(self) -> int:
        """Ask for rewards that are due; how many."""
        due = await store.unrewarded(self._db)
        for match in due:
            await self.reward(match.id)
        return len(due)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _mine(self, conn: Any, identifier: UUID, org_id: UUID) -> Match:
        found = await store.match(conn, identifier)
        if found is None or found.side(org_id) is None:
            raise UnknownMatch
        return found

    async def _locked(self, conn: Any, identifier: UUID, org_id: UUID) -> tuple[Match, Kind]:
        """A match of one's own with its posts, locked in the order that everybody keeps: need, solution, match."""
        found = await self._mine(conn, identifier, org_id)
        await self._posts_of(conn, found.need, found.solution)
        match = await store.match(conn, identifier, lock=True)
        assert match is not None
        mine = match.side(org_id)
        assert mine is not None
        return match, mine

    async def _posts_of(self, conn: Any, need: UUID, solution: UUID) -> tuple[Post, Post]:
        one = await store.post(conn, need, lock=True)
        if one is None or one.kind is not Kind.NEED:  # before the other: whoever names both the wrong way round would
            raise UnknownPost  # lock them so, and others who come the right way would be refused for it
        other = await store.post(conn, solution, lock=True)
        if other is None or other.kind is not Kind.SOLUTION:
            raise UnknownPost
        return await self._posts.opened(one), await self._posts.opened(other)

    async def _say(
        self, conn: Any, match: Match, side: Kind, kind: str, text: str, fee_fen: int | None, actor: str
    ) -> None:
        """Write a word and tell the other side that there is one; not what it says: a notice outlives an erasure."""
        org = match.org(side)
        sealed = await self._posts.seals.seal(org, WORD, text)
        n = await store.say(conn, match.id, org, side, kind, sealed, fee_fen, actor, self._clock.now())
        if n > WORDS_MAX and kind == "offer":
            raise TooManyMatches(WORDS_MAX)
        await self._posts.notifier.notify(_told(match, side.other, kind, n), conn)


NOTICES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "interest": ("有人对您的条目表示意向", "Somebody is interested in your post",
                 "请查看并回复；双方确认前不产生任何约束。",
                 "Have a look and answer; nothing binds before both accept."),
    "offer": ("对接有了新的报价", "There is a new offer in a match",
              "请阅读后按编号确认、另行报价或婉拒。", "Read it and accept it by its number, make another, or decline."),
    "accept": ("对方已确认，对接达成", "The other side accepted: the match is made",
               "奖励按规则 T10 自动申请，结果见对接页面。", "The reward is applied for by rule T10; see the match."),
    "decline": ("对方婉拒了对接", "The other side declined a match", "您的条目仍在公示。",
                "Your post stays on the board."),
    "withdraw": ("对方撤回了对接", "The other side withdrew from a match", "您的条目仍在公示。",
                 "Your post stays on the board."),
}  # fmt: skip


def _told(match: Match, side: Kind, kind: str, n: int) -> Notice:
    title_zh, title_en, zh, en = NOTICES[kind]
    return Notice(f"board.{kind}", Text(title_zh, title_en), Text(zh, en), org_id=match.org(side),
                  link=f"/board/matches/{match.id}", dedupe=f"board:{match.id}:{n}")  # fmt: skip


def _said(text: str, bounds: tuple[int, int]) -> str:
    text, (least, most) = plain(text), bounds
    if not least <= len(text) <= most or UNSEEN.search(text):
        raise BadMatch(f"Say it in {least} to {most} characters", f"内容须为 {least}–{most} 字")
    return text
