"""What fits a post: the other kind's posts, ranked by words and meaning, with every reason shown.

Words of what is on the board are kept in the memory of the process that is asked, and renewed when a post changes; a
vector is made once for a revision by an ordinary paid call of the post's owner, who says so. Without it, or without an
embedding model, words alone find.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from shanhe.board import store
from shanhe.board.errors import BadPost
from shanhe.board.matching import CANDIDATES, Corpus, counted, fuse, pieces, reasons, wanted
from shanhe.board.model import OPEN_MAX, Fit, Fits, Kind, Post
from shanhe.board.service import Posts, in_order
from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError
from shanhe.retrieval.api import Embed, near, packed, prefixes, unpacked, vectors, visible

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

VECTOR: Final = "board.vector.vector"
FITS_MAX: Final = 10
BREATH: Final = 32
"""Posts that are read before others get their turn."""
QUERY_MAX_CHARS: Final = 200
LEARN_WAIT_S: Final = 2.0
"""How long a page waits for a vector."""
log = structlog.get_logger(__name__)


class Finding:
    """Ranks posts for posts, and for questions. `model`: the city's embedding model, nothing where it has none."""

    def __init__(
        self, posts: Posts, *, embed: Embed, payer: Callable[[UUID], Awaitable[Caller]], model: Callable[[], str]
    ) -> None:
        self._posts = posts
        self._embed = embed
        self._payer = payer
        self._model = model
        self._kept = {kind: _Kept() for kind in Kind}
        self._learning: dict[UUID, asyncio.Task[bool]] = {}

    async def of(self, post: Post, most: int = 5) -> Fits:
        """The posts of the other kind that fit best, none of the same organisation."""
        kept = await self._renewed(post.kind.other)
        asked = wanted(post.words.title, post.words.text)
        worded = [one for one in kept.corpus.ranked(asked) if kept.owners[one[0]] != post.org_id][:CANDIDATES]
        cosines = await self._cosines(post, kept)
        meant = sorted(cosines, key=lambda one: (-cosines[one], one))[:CANDIDATES]
        known = await self._read([one for one, *_ in worded] + meant)
        today = self._posts.clock.today()
        why = {one.id: reasons(post, one, today) for one in known}
        good = {one: sum((r.good is True) - (r.good is False) for r in found) for one, found in why.items()}
        scores = dict(fuse([one for one, *_ in worded], meant, good))
        order = [one for one in scores if one in why][: min(most, FITS_MAX)]
        by_word = {one: (rank, score, weights) for rank, (one, score, weights) in enumerate(worded, 1)}
        found = []
        for one in in_order(known, order):
            rank, score, weights = by_word.get(one.id, (0, 0.0, dict[str, float]()))
            nearness = cosines.get(one.id)
            found.append(Fit(
                one, round(scores[one.id], 4), rank, round(score, 2), pieces(one.words, weights),
                meant.index(one.id) + 1 if one.id in meant else 0, None if nearness is None else round(nearness, 3),
                why[one.id],
            ))  # fmt: skip
        return Fits(tuple(found), "both" if cosines else "words")

    async def search(self, kind: Kind | None, text: str, sector: str | None = None) -> list[Post]:
        """Posts of a kind (of both: needs first) that hold the words of a question, best first; costs nothing."""
        if len(text) > QUERY_MAX_CHARS:
            raise BadPost("q", f"at most {QUERY_MAX_CHARS} characters", f"搜索词不超过 {QUERY_MAX_CHARS} 字")
        found: list[Post] = []
        for one in Kind if kind is None else (kind,):
            ranked = (await self._renewed(one)).corpus.ranked(wanted(text))
            order = [name for name, *_ in ranked][: 2 * CANDIDATES]
            fitting = [post for post in in_order(await self._read(order), order) if sector in (None, post.words.sector)]
            found += fitting[:CANDIDATES]
        return found

    async def learn(self, post: Post) -> bool:
        """Have a post's vector made, where its owner wants one and it isn't there; False where that can't be now.

        An engine that has to start first is not waited for: the vector is there a little later.
        """
        model = self._model()
        if not (model and post.words.by_meaning and post.stands(self._posts.clock.today())):
            return False
        if any(row["model"] == model for row in await store.vectors(self._posts.db, [post.id])):
            return True
        task = self._learning.get(post.id)
        if task is None:
            task = self._learning[post.id] = asyncio.create_task(self._made(post, model))
            task.add_done_callback(lambda _: self._learning.pop(post.id, None))
        done, _ = await asyncio.wait({task}, timeout=LEARN_WAIT_S)
        return bool(done) and task.result()

    async def stop(self) -> None:
        """Let vectors that are being made go; their owners ask again."""
        for task in (tasks := list(self._learning.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _made(self, post: Post, model: str) -> bool:
        text = f"{prefixes(model)[1]}{visible(post.words.title)}\n{visible(post.words.text)}"
        try:
            made, call = await vectors(self._embed, await self._payer(post.org_id), model, [text])
        except (CallError, ShanheError) as error:
            # a post is found by words whatever its owner's balance or the engine's state
            log.info("a post is matched by words alone", post=str(post.id), error=error.code)
            return False
        kept = await self._posts.seals.seal(post.org_id, VECTOR, packed(made[0]))
        await store.keep_vector(
            self._posts.db, post.id, post.revision, model, kept, call.paid_micro, call.receipt_id,
            self._posts.clock.now(),
        )  # fmt: skip
        return True

    async def paid_micro(self, post: Post) -> int:
        """What the vector of a post's words cost its owner; 0 without one."""
        return sum(row["paid_micro"] for row in await store.vectors(self._posts.db, [post.id]))

    # -- memory -------------------------------------------------------------------------------------------------------

    async def _renewed(self, kind: Kind) -> _Kept:
        """What is kept of a kind, as the board is now."""
        kept, db = self._kept[kind], self._posts.db
        marks = {one: (revision, model) for one, revision, model in
                 await store.marks(db, kind, self._posts.clock.today(), OPEN_MAX)}  # fmt: skip
        for gone in [one for one in kept.marks if one not in marks]:
            kept.drop(gone)
        changed = [one for one, mark in marks.items() if kept.marks.get(one) != mark]
        for at in range(0, len(changed), BREATH):
            batch = changed[at : at + BREATH]
            found = {row["post"]: row for row in await store.vectors(db, batch)}
            for one in await self._read(batch):
                row, vector = found.get(one.id), None
                if row is not None and row["revision"] == one.revision:
                    text = await self._posts.seals.open(one.org_id, VECTOR, row["vector"])
                    vector = (row["model"], text) if text else None
                kept.put(one, marks[one.id], vector)
            await asyncio.sleep(0)
        return kept

    async def _read(self, wanted: Sequence[UUID]) -> list[Post]:
        """Posts that stand on the board, with their texts."""
        rows, today = await store.posts(self._posts.db, list(dict.fromkeys(wanted))), self._posts.clock.today()
        return [one for one in [await self._posts.opened(row) for row in rows] if one.stands(today)]

    async def _cosines(self, post: Post, kept: _Kept) -> Mapping[UUID, float]:
        """How near others are in meaning; nothing without a vector of the post's own."""
        rows = await store.vectors(self._posts.db, [post.id])
        own = await self._posts.seals.open(post.org_id, VECTOR, rows[0]["vector"]) if rows else ""
        if not own:
            return {}
        others = [(one, text) for one, (model, text) in kept.vectors.items()
                  if model == rows[0]["model"] and kept.owners[one] != post.org_id]  # fmt: skip
        if not others:
            return {}
        scores = near([text for _, text in others], unpacked(own))
        return {one: score for (one, _), score in zip(others, scores, strict=True)}


class _Kept:
    """Posts of one kind in memory."""

    def __init__(self) -> None:
        self.marks: dict[UUID, tuple[int, str]] = {}
        self.owners: dict[UUID, UUID] = {}
        self.vectors: dict[UUID, tuple[str, str]] = {}
        self.corpus = Corpus()

    def put(self, post: Post, mark: tuple[int, str], vector: tuple[str, str] | None) -> None:
        self.corpus.put(post.id, counted(post.words))
        self.marks[post.id], self.owners[post.id] = mark, post.org_id
        self.vectors.pop(post.id, None)
        if vector is not None:
            self.vectors[post.id] = vector

    def drop(self, post: UUID) -> None:
        self.corpus.drop(post)
        self.marks.pop(post, None)
        self.owners.pop(post, None)
        self.vectors.pop(post, None)
