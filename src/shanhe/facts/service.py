"""Publishing and reading facts, and who is related to whom."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.facts import related, store
from shanhe.facts.errors import BadFact, FactConflict, UnknownName
from shanhe.facts.model import Fact, Guard, Kind, NewFact, Relation, TermsOf, Unguarded, Use
from shanhe.facts.reading import RELATED, Reader, fact_of, names, stored
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.resealing import rewrite
from shanhe.kernel.vault import Vault

TEXT_MAX_CHARS = 500
KEY_MAX_CHARS = 100
NOTE_MAX_CHARS = 200
NUMBER_MAX = 10**15
RESEAL_ROWS = 500
RESEAL_PAGES_MAX = 400
GROUP = re.compile(r"[0-9A-Za-z-]{1,40}")
"""What many people share is an id, never an address or a name."""
TYPES: Mapping[str, type] = {"number": int, "bool": bool, "text": str, "date": str}


class Facts:
    """What is known of people and organisations. Published here, read through a `Reader` that says what for."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, terms: TermsOf, guard: Guard | None = None) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._terms = terms
        self._guard = guard or Unguarded()

    async def publish(self, new: NewFact, *, actor: str, conn: Any = None) -> Fact:
        """Write a fact, in the caller's transaction if there is one. Idempotent by id; FactConflict for other content.

        A later fact of the same series and first day corrects; a value of None withdraws.
        """
        kind = checked(new)
        target = conn if conn is not None else self._db.writes
        key, value, sealed, evidence = stored(new, kind, self._vault)
        row = (new.id, new.subject, new.name, key, value, sealed, new.valid_from, new.valid_to, self._clock.now(),
               new.standing, new.source, evidence)  # fmt: skip
        await store.insert(target, *row, actor)
        found = fact_of(await store.by_id(target, new.id), self._vault)
        if found is None or _content(found) != _content(new):
            raise FactConflict(new.id)
        return found

    async def reseal(self) -> int:
        """Seal the numbers of people's documents that stand in the clear since before they were sealed; how many."""
        numbered, after, done = [name for name, kind in names().items() if kind.keyed == "number"], None, 0
        for _ in range(RESEAL_PAGES_MAX):
            rows = await store.plain_numbers(self._db, numbered, after, RESEAL_ROWS)
            for row in rows:
                after = row["id"]
                if not self._vault.exists(row["subject"]):
                    continue
                new = NewFact(row["id"], row["subject"], row["name"], row["value"], row["valid_from"], key=row["key"])
                key, _, sealed, _ = stored(new, names()[row["name"]], self._vault)
                async with self._db.transaction() as conn:
                    await store.seal_number(conn, row["id"], key, sealed)
                done += 1
            if len(rows) < RESEAL_ROWS:
                break
        if done:
            await rewrite(self._db, "facts.fact")
        return done

    async def tally(self, name: str, *, on: date | None = None) -> tuple[int, int]:
        """How many subjects have a fact on a day, and the sum of its numbers. Sums name nobody: no reading is kept."""
        return await store.tally(self._db, name, on or self._clock.today(), self._clock.now())

    @contextlib.asynccontextmanager
    async def reading(self, use: Use) -> AsyncIterator[Reader]:
        """Read for a purpose: refused where a person's facts have no ground for it, and kept for the person to see.

        What was read is written down at the end, before the caller can show anything of it to anybody.
        """
        reader = Reader(self._db, self._clock, self._vault, self._terms, self._guard, use)
        try:
            yield reader
        finally:
            await reader.close()

    async def related(self, a: UUID, b: UUID, *, on: date | None = None, by: str = "system") -> Relation | None:
        """Why `a` and `b` count as one under R0 on a day, None when they don't. Households are looked through."""
        if a == b:
            return related.SAME
        async with self.reading(Use(RELATED, by)) as reader:
            return await reader.related(a, b, on=on)

    async def relatives(
        self, subject: UUID, *, on: date | None = None, grounds: Collection[str] = (), by: str = "system"
    ) -> list[UUID]:
        """Whoever counts as one with a subject under R0 on a day, by any ground or one of these; a bounded list.
        Households are looked through."""
        async with self.reading(Use(RELATED, by)) as reader:
            return await reader.relatives(subject, on=on, grounds=grounds)


def _content(fact: Fact | NewFact) -> tuple[object, ...]:
    return (fact.subject, fact.name, fact.key, fact.value, fact.valid_from, fact.valid_to, fact.standing, fact.source,
            fact.evidence)  # fmt: skip


def checked(new: NewFact) -> Kind:
    """The kind of a fact that is in order; UnknownName or BadFact otherwise."""
    kind = names().get(new.name)
    if kind is None:
        raise UnknownName(new.name)
    wanted = TYPES[kind.type]
    if new.value is not None and (type(new.value) is not wanted):
        raise BadFact(new.name, f"the value must be a {kind.type}", f"取值类型应为 {kind.type}")
    if isinstance(new.value, str):
        if not new.value.strip() or len(new.value) > TEXT_MAX_CHARS:
            raise BadFact(new.name, f"the text has 1 to {TEXT_MAX_CHARS} characters", f"文本应为 1–{TEXT_MAX_CHARS} 字")
        if kind.type == "date":
            _date(new.name, new.value)
    if isinstance(new.value, int) and abs(new.value) > NUMBER_MAX:
        raise BadFact(new.name, "the number is out of range", "数值超出范围")
    if bool(new.key) != bool(kind.keyed) or len(new.key) > KEY_MAX_CHARS:
        wants = "a key" if kind.keyed else "no key"
        raise BadFact(new.name, f"it takes {wants}", "需要对象编号" if kind.keyed else "不带对象编号")
    if kind.keyed == "party":
        _party(new)
    if kind.keyed == "group" and not GROUP.fullmatch(new.key):
        raise BadFact(new.name, "the key is an id of 1 to 40 of A-Z, a-z, 0-9 and -", "对象编号仅含字母、数字与连字符")
    if new.valid_to is not None and new.valid_to < new.valid_from:
        raise BadFact(new.name, "it ends before it begins", "结束日期早于起始日期")
    if not 1 <= len(new.source) <= KEY_MAX_CHARS or len(new.evidence) > NOTE_MAX_CHARS:
        raise BadFact(new.name, "source or evidence is too long or missing", "来源或证据缺失或过长")
    return kind


def _party(new: NewFact) -> None:
    try:
        other = UUID(new.key)
    except ValueError:
        raise BadFact(new.name, "the key must be a party's id", "对象编号应为主体编号") from None
    if other == new.subject:
        raise BadFact(new.name, "nobody stands in this relation to themselves", "不能与自身建立该关系")


def _date(name: str, text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise BadFact(name, "the value must be a date like 2026-01-31", "取值应为形如 2026-01-31 的日期") from None
