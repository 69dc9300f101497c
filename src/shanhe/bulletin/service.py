"""When an issue is due, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from shanhe.bulletin import store
from shanhe.bulletin.errors import NotDue, UnknownIssue
from shanhe.bulletin.model import ITEMS_MAX, TOLD, Issue, Item, Kind, Source
from shanhe.bulletin.news import rule_news
from shanhe.bulletin.talk import talk
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.rulebook.api import Rulebook

RULE: Final = "B15"
ORDER: Final = {kind: number for number, kind in enumerate((*TOLD, Kind.OPEN))}


class Bulletin:
    """The bulletin of one city. `sources` say what is new and open besides the rulebook."""

    def __init__(
        self, db: Database, clock: Clock, *, rulebook: Rulebook, city: str, sources: Sequence[Source]
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._city = city
        self._sources = sources

    async def tick(self) -> int:
        """Publish an issue when it is due; how many."""
        due, _ = await self._due()
        return int(due and await self._publish())

    async def publish(self) -> Issue:
        """Publish the issue that is due, at once; NotDue before its day."""
        due, next_on = await self._due()
        if not due:
            raise NotDue(next_on)
        await self._publish()
        return await self.issue(self._clock.today())

    async def _due(self) -> tuple[bool, date]:
        """Whether an issue is due today and on which day the next one is, by B15."""
        today, last = self._clock.today(), await store.issue(self._db, None)
        if last is None:
            return True, today
        facts = {"aired_on": last.day, "asked_on": today}
        outputs = self._rulebook.evaluate(RULE, facts, on=today).outputs
        return bool(outputs["due"]), outputs["next_on"]

    async def _publish(self) -> bool:
        """Idempotent: the second of two that publish at once adds nothing."""
        return await store.add(self._db.writes, await self.preview())

    async def preview(self) -> Issue:
        """What an issue of today says or would say; nothing is published."""
        today, last = self._clock.today(), await store.issue(self._db, None)
        every = timedelta(days=int(self._rulebook.parameter(RULE, "every_days", today)))
        since = last.day if last is not None and last.day < today else today - every
        before = await store.issues(self._db, today, store.ROWS_MAX)
        told = {(item.ref, item.on) for one in before for item in one.of(Kind.RULE_COMING)}
        found = rule_news(self._rulebook, since, today, every, told)
        for source in self._sources:
            found += await source(since, today)
        items = sorted(found, key=_place)
        kept = tuple(items[:ITEMS_MAX])
        return Issue(
            day=today, since=since, items=kept, talk=talk(self._city, since, today, kept),
            cut=len(items) - len(kept), made_at=self._clock.now(),
        )  # fmt: skip

    async def issue(self, day: date | None = None) -> Issue:
        """The issue of a day, or the latest; UnknownIssue."""
        found = await store.issue(self._db, day)
        if found is None:
            raise UnknownIssue
        return found

    async def issues(self, before: date | None = None, limit: int = store.ROWS_MAX) -> list[Issue]:
        """Newest first, a bounded page."""
        return await store.issues(self._db, before, limit)


def _place(item: Item) -> tuple[int, date, str]:
    return ORDER[item.kind], item.on or date.max, item.ref
