"""Publishing and reading facts, and who is related to whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

import msgspec

from shanhe.facts import related, store
from shanhe.facts.errors import BadFact, FactConflict, UnknownName
from shanhe.facts.model import Fact, Kind, NewFact, Relation, RelationTerms, Standing, Value
from shanhe.kernel import yaml
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import PersonErased, Vault

TEXT_MAX_CHARS = 500
KEY_MAX_CHARS = 100
NOTE_MAX_CHARS = 200
NUMBER_MAX = 10**15
CHAIN_MAX = 32
"""A chain longer than this counts as leading anywhere: nobody needs one."""
RELATIONS = ("owned_by", "employer", "referred_by")
RELATIVES_MAX = 200
TYPES: Mapping[str, type] = {"number": int, "bool": bool, "text": str, "date": str}


@cache
def names() -> Mapping[str, Kind]:
    """Every fact there is, by name."""
    text = (resources.files("shanhe.facts") / "names.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.read(text), dict[str, Kind])


class Facts:
    """What is known of people and organisations. Reads are as of a day and, when asked, as known by an instant."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, terms: RelationTerms) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._terms = terms

    async def publish(self, new: NewFact, *, actor: str, conn: Any = None) -> Fact:
        """Write a fact, in the caller's transaction if there is one. Idempotent by id; FactConflict for other content.

        A later fact of the same series and first day corrects; a value of None withdraws.
        """
        kind = checked(new)
        value, sealed = new.value, None
        if kind.personal and value is not None:
            text = msgspec.json.encode(new.value).decode()
            value, sealed = None, self._vault.encrypt(new.subject, f"fact.{new.name}", text)
        target = conn if conn is not None else self._db
        row = (new.id, new.subject, new.name, new.key, value, sealed, new.valid_from, new.valid_to, self._clock.now(),
               new.standing, new.source, new.evidence)  # fmt: skip
        await store.insert(target, *row, actor)
        found = self._fact(await store.by_id(target, new.id))
        if found is None or _content(found) != _content(new):
            raise FactConflict(new.id)
        return found

    async def of(
        self, subject: UUID, *, on: date | None = None, known: datetime | None = None,
        wanted: Collection[str] | None = None, sound: bool = False,
    ) -> list[Fact]:  # fmt: skip
        """What holds of a subject on a day, one fact a series; `sound`: only what somebody else answers for."""
        rows = await store.standing_on(
            self._db, [subject], list(wanted) if wanted is not None else None, on or self._clock.today(),
            known or self._clock.now(), sound,
        )  # fmt: skip
        return [fact for row in rows if (fact := self._fact(row)) is not None and fact.value is not None]

    async def value(
        self, subject: UUID, name: str, *, on: date | None = None, known: datetime | None = None, sound: bool = False
    ) -> Value:
        """The value of a fact without a key; None when nothing is known (or its person was erased)."""
        if name not in names():
            raise UnknownName(name)
        found = await self.of(subject, on=on, known=known, wanted=[name], sound=sound)
        return next((fact.value for fact in found if not fact.key), None)

    async def history(self, subject: UUID, name: str | None = None) -> list[Fact]:
        """Everything ever said, corrections included, a bounded page: for the subject's export and for auditors."""
        rows = await store.history(self._db, subject, name)
        return [fact for row in rows if (fact := self._fact(row)) is not None]

    async def subjects_with(self, name: str, key: UUID | str, *, on: date | None = None) -> list[UUID]:
        """Whose fact names this key: the companies of an owner, the people of an employer or a referrer."""
        rows = await store.keyed(self._db, name, [str(key)], on or self._clock.today(), self._clock.now())
        return [row["subject"] for row in rows if row["value"]]

    async def leads_to(self, start: UUID, name: str, target: UUID, *, on: date | None = None) -> bool:
        """Whether following a relation from `start` (its referrer, that one's referrer …) arrives at `target`."""
        seen, frontier = {start}, [start]
        for _ in range(CHAIN_MAX):
            found = [fact for one in frontier for fact in await self.of(one, on=on, wanted=[name]) if fact.value]
            frontier = [other for fact in found if (other := UUID(fact.key)) not in seen]
            if target in {UUID(fact.key) for fact in found}:
                return True
            if not frontier:
                return False
            seen |= set(frontier)
        return True

    async def related(self, a: UUID, b: UUID, *, on: date | None = None) -> Relation | None:
        """Why `a` and `b` count as one under R0 on a day, None when they don't. Households are looked through."""
        if a == b:
            return related.SAME
        day, now = on or self._clock.today(), self._clock.now()
        facts = await self._standing([a, b], day, now)
        homes = related.homes_of(a, facts) | related.homes_of(b, facts)
        if homes:
            members = {row["subject"] for row in await store.keyed(self._db, "household", sorted(homes), day, now)}
            facts |= await self._standing(sorted(members - {a, b}), day, now)
        return related.relation(a, b, facts, self._terms, day)

    async def relatives(self, subject: UUID, *, on: date | None = None) -> list[UUID]:
        """Whoever counts as one with a subject under R0 on a day, a bounded list. Households are looked through."""
        day, now = on or self._clock.today(), self._clock.now()
        near = await self._with_homes({subject}, day, now)
        named = {fact.key for facts in near.values() for fact in facts if fact.name in RELATIONS and fact.value}
        others = {UUID(key) for key in named}
        for name in RELATIONS:  # who names us or somebody of our home; for owners also who else is owned by them
            keys = sorted({*map(str, near), *(named if name == "owned_by" else ())})
            others |= {row["subject"] for row in await store.keyed(self._db, name, keys, day, now)}
        facts = near | await self._with_homes(others - set(near), day, now)
        found = (other for other in sorted(facts) if other != subject)
        return [other for other in found if related.relation(subject, other, facts, self._terms, day)][:RELATIVES_MAX]

    async def _with_homes(self, subjects: Collection[UUID], day: date, now: datetime) -> dict[UUID, list[Fact]]:
        """What holds of subjects and of whoever shares a household with one of them."""
        facts = await self._standing(sorted(subjects)[:RELATIVES_MAX], day, now)
        homes = {home for one in facts for home in related.homes_of(one, facts)}
        members = {row["subject"] for row in await store.keyed(self._db, "household", sorted(homes), day, now)}
        return facts | await self._standing(sorted(members - set(facts))[:RELATIVES_MAX], day, now)

    async def _standing(self, subjects: Sequence[UUID], on: date, known: datetime) -> dict[UUID, list[Fact]]:
        found: dict[UUID, list[Fact]] = {subject: [] for subject in subjects}
        wanted = ["household", "owned_by", "employer", "referred_by"]
        for row in await store.standing_on(self._db, subjects, wanted, on, known, False):
            fact = self._fact(row)
            if fact is not None and fact.value is not None:
                found[fact.subject].append(fact)
        return found

    def _fact(self, row: Any) -> Fact | None:
        """A row in plain text; None when its person was erased."""
        values = dict(row)
        sealed = values.pop("sealed")
        if sealed is not None:
            try:
                text = self._vault.decrypt(values["subject"], f"fact.{values['name']}", sealed)
            except PersonErased:
                return None
            values["value"] = msgspec.json.decode(text)
        return Fact(**values | {"standing": Standing(values["standing"])})


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
