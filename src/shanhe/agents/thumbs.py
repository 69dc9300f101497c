"""Thumbs: what whoever asked thinks of an answer, and what of it the agent's maker reads.

A run's texts are not kept. Question and answer are kept with a thumb only where its giver agrees that the maker reads
them; they are what the giver sends, and go with the thumb, the agreement or the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.agents import store
from shanhe.agents.errors import NoThumbHere, NotShareable, ThumbOfAnother, UnknownRun
from shanhe.agents.model import Run, RunState
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.sealing import Seal, Seals

WORD_MAX_CHARS: Final = 500
QUESTION_MAX_CHARS: Final = 4_000
ANSWER_MAX_CHARS: Final = 30_000
PLACE: Final = "agents.thumb"
TEXTS: Final = ("word", "question", "answer")
LISTED_MAX: Final = 100
DAYS_MAX: Final = 400
RATED: Final = "agent"
"""The kind that is rated so; answers of clones are corrected by their own feedback."""
DRAFT: Final = "try"


@dataclass(frozen=True, slots=True)
class Thumb:
    """`word`, `question` and `answer` as plain text; empty where there is none."""

    run: UUID
    agent: str
    version: int
    org_id: UUID
    person: UUID | None
    up: bool
    shared: bool
    word: str
    question: str
    answer: str
    day: date


@dataclass(frozen=True, slots=True)
class Count:
    """Thumbs of one version on one day."""

    day: date
    version: int
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent's maker learns: counts by day and version, newest first, their sums by version, and what was
    written, without who wrote it."""

    days: tuple[Count, ...]
    versions: tuple[tuple[int, int, int], ...]
    said: tuple[dict[str, Any], ...]


class Thumbs:
    """Gives, changes, withdraws and reads them."""

    def __init__(self, db: Database, clock: Clock, seals: Seals) -> None:
        self._db = db
        self._clock = clock
        self._seals = seals

    async def _run(self, run_id: UUID, org_id: UUID) -> Run:
        found = await store.run(self._db, run_id)
        if found is None or found.org_id != org_id:
            raise UnknownRun()
        return found

    async def _seal(self, org_id: UUID, person: UUID | None) -> Seal:
        return await self._seals.of(org_id) if person is None else self._seals.of_person(person)

    async def give(
        self, run_id: UUID, org_id: UUID, person: UUID | None, *, up: bool, word: str = "", share: bool = False,
        question: str = "", answer: str = "",
    ) -> Thumb:  # fmt: skip
        """Say what one thinks of an answer that one's organisation paid for, once or anew; the last word counts.

        `share`: the maker may read `question` and `answer`; without it neither is looked at. UnknownRun, NoThumbHere,
        NotShareable, Invalid, ThumbOfAnother where a colleague gave it.
        """
        run = await self._run(run_id, org_id)
        if not rated(run):
            raise NoThumbHere()
        if share and not run.shareable:
            raise NotShareable()
        said = (word.strip(), question.strip() if share else "", answer.strip() if share else "")
        most = (WORD_MAX_CHARS, QUESTION_MAX_CHARS, ANSWER_MAX_CHARS)
        if any(len(text) > size for text, size in zip(said, most, strict=True)):
            raise Invalid("thumb_too_long", f"At most {most} characters of word, question and answer.",
                          message_zh=f"留言、问题、回答分别不超过 {'、'.join(map(str, most))} 字。")  # fmt: skip
        if share and not (said[1] and said[2]):
            raise Invalid("nothing_to_share", "Send the question and the answer that are to be shared.",
                          message_zh="同意分享时须附上问题与回答。")  # fmt: skip
        one = Thumb(run.id, run.agent, run.version, org_id, person, up, share, *said, day=self._clock.today())
        seal = await self._seal(org_id, person)
        kept: dict[str, str] = {name: seal.text(f"{PLACE}.{name}", getattr(one, name)) for name in TEXTS}
        if not await store.put_thumb(self._db, asdict(replace(one, **kept))):  # type: ignore[arg-type]
            raise ThumbOfAnother()
        return one

    async def withdraw(self, run_id: UUID, org_id: UUID, person: UUID | None) -> bool:
        """Take one's thumb back, with everything kept of it; whether there was one. ThumbOfAnother."""
        await self._run(run_id, org_id)
        if await store.drop_thumb(self._db, run_id, person):
            return True
        if await store.thumb(self._db, run_id) is not None:
            raise ThumbOfAnother()
        return False

    async def of_run(self, run_id: UUID, org_id: UUID, person: UUID | None) -> Thumb | None:
        """One's own thumb of an answer, or one that a key gave; None where there is none. UnknownRun."""
        await self._run(run_id, org_id)
        row = await store.thumb(self._db, run_id)
        return None if row is None or row["person"] not in (None, person) else await self._opened(row)

    async def of_maker(self, agent: str) -> Told:
        """What the maker of an agent learns; whoever calls this has seen that it is theirs."""
        days = tuple(Count(**row) for row in await store.thumb_days(self._db, agent, DAYS_MAX))
        up, down = Counter[int](), Counter[int]()
        for one in days:
            up[one.version] += one.up
            down[one.version] += one.down
        said = []
        for row in await store.thumbs_said(self._db, agent, LISTED_MAX):
            thumb = await self._opened(row)
            if thumb.word or thumb.answer:  # an erased person's read as nothing
                said.append({name: getattr(thumb, name) for name in ("day", "version", "up", "shared", *TEXTS)})
        return Told(days, tuple((n, up[n], down[n]) for n in sorted(up, reverse=True)), tuple(said))

    async def given(self, person: UUID | None, orgs: Sequence[UUID], *, limit: int) -> list[Thumb]:
        """What a person, or a key of an organisation of one, gave; newest first."""
        return [await self._opened(row) for row in await store.thumbs_given(self._db, person, orgs, limit)]

    async def forget(self, *, person: UUID | None = None, org_id: UUID | None = None) -> int:
        """Delete everything that a person, or an organisation of one, gave; how many. May be repeated."""
        return await store.forget_thumbs(self._db, person, org_id)

    async def _opened(self, row: Any) -> Thumb:
        seal = await self._seal(row["org_id"], row["person"])
        return Thumb(**seal.opened(PLACE, row, *TEXTS))


def rated(run: Run) -> bool:
    """Whether an answer can be given a thumb: one that an agent, as it is offered, gave to somebody."""
    offered = run.agent.partition("/")[0] == RATED and run.face != DRAFT
    return offered and run.state is RunState.DONE and run.parent is None
