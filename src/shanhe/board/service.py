"""Posts: who says what on the board, until when, and what an edit, an end or an erasure means for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from shanhe.board import store
from shanhe.board.errors import BadPost, BoardFull, PostTaken, TooManyPosts, UnknownPost, WrongPostState
from shanhe.board.model import (
    FINAL,
    OPEN_MAX,
    POSTS_MAX,
    UNSEEN,
    WHY_CHARS,
    Kind,
    MatchState,
    Post,
    PostState,
    Words,
    checked,
    plain,
)
from shanhe.kernel.asking import Names
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.kernel.sealing import Seals

PLACE: Final = "board.post"
WHY: Final = "board.post.removed_why"
SEALED: Final = ("title", "text", "asks")
LIST_MAX: Final = 100


class Posts:
    """Posts of one city. `names` says what organisations are called."""

    def __init__(self, db: Database, clock: Clock, *, seals: Seals, notifier: Notifier, names: Names) -> None:
        self.db = db
        self.clock = clock
        self.seals = seals
        self.notifier = notifier
        self.names = names

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, identifier: UUID, org_id: UUID | None = None) -> Post:
        """A post on the board, or any of one's own; UnknownPost."""
        found = await store.post(self.db, identifier)
        if found is None:
            raise UnknownPost
        found = await self.opened(found)
        if found.org_id != org_id and not found.stands(self.clock.today()):
            raise UnknownPost
        return found

    async def of(self, org_id: UUID, *, most: int = store.PAGE_ROWS) -> list[Post]:
        """An organisation's own, newest first, drafts and ended ones too."""
        return [await self.opened(one) for one in await store.of_org(self.db, org_id, most)]

    async def standing(
        self, kind: Kind | None = None, sector: str | None = None, *, before: UUID | None = None, most: int = LIST_MAX
    ) -> list[Post]:
        """What is on the board, newest first, a bounded page; `before` a post of the last page."""
        today = self.clock.today()
        found = await store.standing(self.db, kind, sector, today, before, min(most, LIST_MAX))
        return [one for one in [await self.opened(one) for one in found] if one.stands(today)]

    async def opened(self, post: Post) -> Post:
        """With its texts to read; empty ones when their person was erased."""
        seal = await self.seals.of(post.org_id)
        return replace(post, words=_each(post.words, lambda name, text: seal.open(f"{PLACE}.{name}", text)),
                       removed_why=seal.open(WHY, post.removed_why))  # fmt: skip

    async def names_of(self, posts: Sequence[Post], org_id: UUID | None = None) -> dict[UUID, str]:
        """Whose each is, by post, where that may be shown: everywhere by the owner's wish, and to the owner."""
        shown = {one.id: one.org_id for one in posts if one.words.shows_name or one.org_id == org_id}
        names = await self.names(set(shown.values())) if shown else {}
        return {one.id: names.get(shown[one.id], "") if one.id in shown else "" for one in posts}

    async def name_of(self, post: Post, org_id: UUID | None = None) -> str:
        """The same of one."""
        return (await self.names_of([post], org_id))[post.id]

    # -- writing ------------------------------------------------------------------------------------------------------

    async def write(self, identifier: UUID, org_id: UUID, words: Words, *, actor: str) -> Post:
        """A new draft. Idempotent by id: the same again is the standing one. BadPost, PostTaken, TooManyPosts."""
        said = await self._sealed(org_id, checked(words, self.clock.today()))
        async with self.db.transaction() as conn:
            await store.line_up(conn, f"board.post:{org_id}")
            known = await store.post(conn, identifier)
            if known is None:
                await self._room(conn, org_id, None)
                await store.insert(conn, identifier, org_id, said, self.clock.now(), actor)
        if known is not None and (known.org_id, known.kind) != (org_id, words.kind):
            raise PostTaken
        return await self.get(identifier, org_id)

    async def change(self, identifier: UUID, org_id: UUID, words: Words) -> Post:
        """Other words for a post that is not settled. What is on the board changes at once. WrongPostState."""
        words = checked(words, self.clock.today())
        said = await self._sealed(org_id, words)
        async with self.db.transaction() as conn:
            found = await self._own(conn, identifier, org_id)
            if found.state in FINAL:
                raise WrongPostState(found.state)
            if found.kind is not words.kind:
                raise PostTaken
            if (await self.opened(found)).words != words:
                await store.change(conn, identifier, said, self.clock.now())
        return await self.get(identifier, org_id)

    async def publish(self, identifier: UUID, org_id: UUID) -> Post:
        """Put a draft on the board, or one that was taken off or is over, again. BoardFull, TooManyPosts."""
        async with self.db.transaction() as conn:
            found = await self._own(conn, identifier, org_id)
            if found.state in FINAL:
                raise WrongPostState(found.state)
            checked((await self.opened(found)).words, self.clock.today())  # its last day may be past
            if found.state is not PostState.OPEN:
                await store.line_up(conn, f"board.open:{found.kind}")
                await self._room(conn, org_id, identifier)
                if await store.open_count(conn, found.kind) >= OPEN_MAX:
                    raise BoardFull(OPEN_MAX)
                await store.move(conn, identifier, PostState.OPEN, self.clock.now())
        return await self.get(identifier, org_id)

    async def withdraw(self, identifier: UUID, org_id: UUID) -> Post:
        """Take a post off the board; whoever is in touch about it is told."""
        async with self.db.transaction() as conn:
            found = await self._own(conn, identifier, org_id)
            if found.state in FINAL:
                raise WrongPostState(found.state)
            await self.end(conn, found, PostState.WITHDRAWN)
        return await self.get(identifier, org_id)

    async def remove(self, identifier: UUID, why: str, *, actor: str) -> Post:
        """The city takes a post off the board for good: its owner is told, and reads why. Idempotent."""
        why, (least, most) = plain(why), WHY_CHARS
        if not least <= len(why) <= most or UNSEEN.search(why):
            raise BadPost("why", f"{least} to {most} characters", f"理由须为 {least}–{most} 字")
        async with self.db.transaction() as conn:
            found = await store.post(conn, identifier, lock=True)
            if found is None:
                raise UnknownPost
            if found.state is not PostState.REMOVED:
                if found.state is not PostState.OPEN:
                    raise WrongPostState(found.state)
                sealed = await self.seals.seal(found.org_id, WHY, why)
                await store.remove(conn, identifier, sealed, actor, self.clock.now())
                await self._end_matches(conn, found, None)
                await self.notifier.notify(_removed(found), conn)
        return await self.get(identifier, found.org_id)

    async def end(self, conn: Any, post: Post, state: PostState, *, apart: UUID | None = None) -> None:
        """A post leaves the board, in the caller's transaction: its open matches (but `apart`) end with it."""
        await store.move(conn, post.id, state, self.clock.now())
        await self._end_matches(conn, post, apart)

    async def _end_matches(self, conn: Any, post: Post, apart: UUID | None) -> None:
        now = self.clock.now()
        for one in await store.live(conn, post.id):
            if one.id == apart:
                continue
            await store.set_match(conn, one.id, MatchState.ENDED, now)
            await self.notifier.notify(_ended(one.id, one.org(post.kind.other)), conn)

    async def tick(self) -> int:
        """End what is over; how many."""
        due = await store.over(self.db, self.clock.today())
        for identifier in due:
            async with self.db.transaction() as conn:
                found = await store.post(conn, identifier, lock=True)
                if found is not None and found.state is PostState.OPEN and found.words.until < self.clock.today():
                    await self.end(conn, found, PostState.EXPIRED)
        return len(due)

    async def forget(self, org_id: UUID) -> int:
        """Take everything off the board of somebody who is no longer there; how many."""
        gone = 0
        for one in await store.to_forget(self.db, org_id):
            async with self.db.transaction() as conn:
                found = await store.post(conn, one, lock=True)
                if found is not None and found.state in (PostState.DRAFT, PostState.OPEN):
                    await self.end(conn, found, PostState.WITHDRAWN)
                    gone += 1
        return gone

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _own(self, conn: Any, identifier: UUID, org_id: UUID) -> Post:
        found = await store.post(conn, identifier, lock=True)
        if found is None or found.org_id != org_id:
            raise UnknownPost
        return found

    async def _room(self, conn: Any, org_id: UUID, apart: UUID | None) -> None:
        if await store.unfinished(conn, org_id, apart=apart) >= POSTS_MAX:
            raise TooManyPosts(POSTS_MAX)

    async def _sealed(self, org_id: UUID, words: Words) -> Words:
        seal = await self.seals.of(org_id)
        return _each(words, lambda name, text: seal.text(f"{PLACE}.{name}", text))


def _each(words: Words, act: Callable[[str, str], str]) -> Words:
    """With every text that is sealed put through `act(name, text)`."""
    title, text, asks = (act(name, getattr(words, name)) for name in SEALED)
    return replace(words, title=title, text=text, asks=asks)


def _removed(post: Post) -> Notice:
    return Notice(
        "board.removed", Text("您的一个条目已被下架", "One of your posts was removed"),
        Text("理由见条目页面；如有异议请联系经办部门。", "The post says why. Speak to the department if you disagree."),
        org_id=post.org_id, link=f"/board/posts/{post.id}", dedupe=f"board:{post.id}:removed",
    )  # fmt: skip


def _ended(match: UUID, org_id: UUID) -> Notice:
    return Notice(
        "board.ended", Text("一项产研对接已结束", "A match on the board has ended"),
        Text("对方的条目已撤下、到期或另行对接。",
             "The other side's post was taken off, is over or matched elsewhere."),
        org_id=org_id, link=f"/board/matches/{match}", dedupe=f"board:{match}:ended",
    )  # fmt: skip


def in_order(posts: Sequence[Post], wanted: Sequence[UUID]) -> list[Post]:
    """Posts in the order of their ids, what is gone left out."""
    known = {one.id: one for one in posts}
    return [known[one] for one in wanted if one in known]
