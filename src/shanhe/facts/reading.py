"""Reading facts for a purpose: what is known of people is read on a lawful ground only, and each reading is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.facts import related, store
from shanhe.facts.errors import UnknownName
from shanhe.facts.model import Fact, Guard, Kind, NewFact, Reading, Relation, Standing, TermsOf, Use, Value
from shanhe.kernel import yaml
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seals
from shanhe.kernel.sealing import sealed as is_sealed
from shanhe.kernel.vault import PersonErased, Vault

RELATED: Final = "related_parties"
RELATIONS: Final = ("household", "owned_by", "employer", "referred_by")
PARTIES: Final = ("owned_by", "employer", "referred_by")
RELATIVES_MAX: Final = 200
NUMBER_MARK: Final = "#"
"""Begins the key of a person's numbered document: a keyed hash of it stands there."""
KEY_HEX_CHARS: Final = 40
EVIDENCE_FIELD: Final = "fact.evidence"
AT_ONCE = 50
"""Subjects in one question."""
CHAIN_MAX: Final = 32
"""A chain longer than this counts as leading anywhere: nobody needs one."""


@cache
def names() -> Mapping[str, Kind]:
    """Every fact there is, by name."""
    text = (resources.files("shanhe.facts") / "names.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.read(text), dict[str, Kind])


class Reader:
    """Reads for one purpose, made by `Facts.reading`. As of a day and, when asked, as known by an instant."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, terms: TermsOf, guard: Guard, use: Use
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._vault = vault
        self._terms = terms
        self._guard = guard
        self._use = use
        self._people: dict[UUID, bool] = {}
        self._read: dict[tuple[UUID, str], tuple[Use, str, set[str]]] = {}

    async def of(
        self, subject: UUID, *, on: date | None = None, known: datetime | None = None,
        wanted: Collection[str] | None = None, sound: bool = False,
    ) -> list[Fact]:  # fmt: skip
        """What holds of a subject on a day, one fact a series; `sound`: only what somebody else answers for."""
        await self._ask([subject], wanted)
        return await self._standing([subject], on, known, wanted, sound)

    async def sound_of_many(
        self, subjects: Sequence[UUID], *, on: date, wanted: Collection[str]
    ) -> dict[UUID, list[Fact]]:
        """As a sound `of`, for many at once: one question for each few of them."""
        now = self._clock.now()
        found: dict[UUID, list[Fact]] = {subject: [] for subject in subjects}
        for at in range(0, len(subjects), AT_ONCE):
            some = subjects[at : at + AT_ONCE]
            await self._ask(some, wanted)
            rows = await store.standing_on(self._db, some, list(wanted), on, now, sound=True)
            if len(rows) >= store.ROWS_MAX:  # somebody has very many: each alone, then
                rows = [row for one in some for row in await store.standing_on(
                    self._db, [one], list(wanted), on, now, sound=True)]  # fmt: skip
            for row in rows:
                if (fact := fact_of(row, self._vault)) is not None and fact.value is not None:
                    found[fact.subject].append(fact)
        return found

    async def value(
        self, subject: UUID, name: str, *, on: date | None = None, known: datetime | None = None, sound: bool = False
    ) -> Value:
        """The value of a fact without a key; None when nothing is known (or its person was erased)."""
        if name not in names():
            raise UnknownName(name)
        found = await self.of(subject, on=on, known=known, wanted=[name], sound=sound)
        return next((fact.value for fact in found if not fact.key), None)

    async def history(self, subject: UUID, name: str | None = None, *, most: int = store.ROWS_MAX) -> list[Fact]:
        """Everything ever said, corrections included, a bounded page: for the subject's export and for auditors."""
        await self._ask([subject], None if name is None else [name])
        rows = await store.history(self._db, subject, name, most)
        return [fact for row in rows if (fact := fact_of(row, self._vault)) is not None]

    async def subjects_with(self, name: str, key: UUID | str, *, on: date | None = None) -> list[UUID]:
        """Whose fact names this key: the companies of an owner, the people of an employer or a referrer."""
        rows = await store.keyed(self._db, name, [str(key)], on or self._clock.today(), self._clock.now())
        found = [row["subject"] for row in rows if row["value"]]
        await self._ask(found, [name])
        return found

    async def leads_to(self, start: UUID, name: str, target: UUID, *, on: date | None = None) -> bool:
        """Whether following a relation from `start` (its referrer, that one's referrer …) arrives at `target`."""
        seen, frontier = {start}, [start]
        for _ in range(CHAIN_MAX):
            await self._ask(frontier, [name], RELATED)
            found = [fact for fact in await self._standing(frontier, on, None, [name]) if fact.value]
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
        facts = await self._relations([a, b], day)
        homes = related.homes_of(a, facts) | related.homes_of(b, facts)
        if homes:
            members = {row["subject"] for row in await store.keyed(self._db, "household", sorted(homes), day, now)}
            facts |= await self._relations(sorted(members - {a, b}), day)
        return related.relation(a, b, facts, self._terms(day), day)

    async def relatives(self, subject: UUID, *, on: date | None = None, grounds: Collection[str] = ()) -> list[UUID]:
        """Whoever counts as one with a subject under R0 on a day, by any ground or one of these; a bounded list.
        Households are looked through."""
        day, now = on or self._clock.today(), self._clock.now()
        near = await self._with_homes({subject}, day)
        named = {fact.key for facts in near.values() for fact in facts if fact.name in PARTIES and fact.value}
        others = {UUID(key) for key in named}
        for name in PARTIES:  # who names us or somebody of our home; for owners also who else is owned by them
            keys = sorted({*map(str, near), *(named if name == "owned_by" else ())})
            others |= {row["subject"] for row in await store.keyed(self._db, name, keys, day, now)}
        facts = near | await self._with_homes(others - set(near), day)
        terms, found = self._terms(day), (other for other in sorted(facts) if other != subject)
        relations = ((other, related.relation(subject, other, facts, terms, day)) for other in found)
        return [other for other, why in relations if why is not None and (not grounds or why.ground in grounds)][
            :RELATIVES_MAX
        ]

    async def _with_homes(self, subjects: Collection[UUID], day: date) -> dict[UUID, list[Fact]]:
        """What holds of subjects and of whoever shares a household with one of them."""
        facts = await self._relations(sorted(subjects)[:RELATIVES_MAX], day)
        homes = {home for one in facts for home in related.homes_of(one, facts)}
        rows = await store.keyed(self._db, "household", sorted(homes), day, self._clock.now())
        members = {row["subject"] for row in rows}
        return facts | await self._relations(sorted(members - set(facts))[:RELATIVES_MAX], day)

    async def close(self) -> None:
        """Keep what was read; again keeps nothing twice."""
        readings = [Reading(person, use, frozenset(read), ground) for (person, _), (use, ground, read) in
                    self._read.items()]  # fmt: skip
        self._read = {}
        if readings:
            await self._guard.keep(readings)

    async def _relations(self, subjects: Sequence[UUID], on: date) -> dict[UUID, list[Fact]]:
        await self._ask(subjects, RELATIONS, RELATED)
        found: dict[UUID, list[Fact]] = {subject: [] for subject in subjects}
        for fact in await self._standing(subjects, on, None, RELATIONS):
            found[fact.subject].append(fact)
        return found

    async def _standing(
        self, subjects: Sequence[UUID], on: date | None, known: datetime | None, wanted: Collection[str] | None,
        sound: bool = False,
    ) -> list[Fact]:  # fmt: skip
        rows = await store.standing_on(
            self._db, subjects, list(wanted) if wanted is not None else None, on or self._clock.today(),
            known or self._clock.now(), sound,
        )  # fmt: skip
        return [fact for row in rows if (fact := fact_of(row, self._vault)) is not None and fact.value is not None]

    async def _ask(self, subjects: Sequence[UUID], wanted: Collection[str] | None, purpose: str = "") -> None:
        """Have every person among the subjects allowed for these names (None: all there are)."""
        use = Use(purpose, self._use.by, self._use.about) if purpose else self._use
        asked = frozenset(wanted if wanted is not None else names())
        unknown = [subject for subject in subjects if subject not in self._people]
        if unknown:
            people = await self._guard.people(unknown)
            self._people |= {subject: subject in people for subject in unknown}
        for subject in subjects:
            if not self._people[subject]:
                continue
            _, ground, read = self._read.get((subject, use.purpose), (use, "", set()))
            if not asked <= read:
                ground = await self._guard.allow(subject, use, asked)
                self._read[subject, use.purpose] = (use, ground, read | asked)


def stored(new: NewFact, kind: Kind, vault: Vault) -> tuple[str, Any, bytes | None, str]:
    """(key, value, sealed, evidence) to keep. Of a person, texts, numbers of documents and evidence are sealed,
    whatever the fact; a sealed number's key is a keyed hash, so that a series stays a series."""
    if not vault.exists(new.subject) and not kind.personal:
        return new.key, new.value, None, new.evidence
    seal, field = Seals(vault).of_person(new.subject), f"fact.{new.name}"
    evidence = seal.text(EVIDENCE_FIELD, new.evidence)
    if kind.keyed == "number":
        hashed = vault.blind_index("fact.key", f"{new.subject}|{new.name}|{new.key}").hex()[:KEY_HEX_CHARS]
        both = msgspec.json.encode([new.key, new.value]).decode()
        return NUMBER_MARK + hashed, None, vault.encrypt(new.subject, field, both), evidence
    if new.value is not None and (kind.personal or kind.type in ("text", "date")):
        text = msgspec.json.encode(new.value).decode()
        return new.key, None, vault.encrypt(new.subject, field, text), evidence
    return new.key, new.value, None, evidence


def fact_of(row: Any, vault: Vault) -> Fact | None:
    """A row in plain text; None when its person was erased."""
    values = dict(row)
    sealed, field = values.pop("sealed"), f"fact.{values['name']}"
    if sealed is not None:
        try:
            found = msgspec.json.decode(vault.decrypt(values["subject"], field, sealed))
        except PersonErased:
            return None
        if values["key"].startswith(NUMBER_MARK):
            values["key"], values["value"] = found
        else:
            values["value"] = found
    if is_sealed(values["evidence"]):
        values["evidence"] = Seals(vault).of_person(values["subject"]).open(EVIDENCE_FIELD, values["evidence"])
    return Fact(**values | {"standing": Standing(values["standing"])})
