"""What the rules say about an applicant: gathers each rule's facts from where the programme says, then asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shanhe.facts.api import Facts, Reader, Standing, Use
from shanhe.kernel.db import Database
from shanhe.kernel.money import MICRO
from shanhe.programmes import award_store
from shanhe.programmes.cases import Outcome, Party, Payment, Reason
from shanhe.programmes.loading import known, month_of, today_of
from shanhe.programmes.model import ABSENT, Amount, Catalogue, Condition, Grant, Programme, Source, Text
from shanhe.programmes.nearest import Helps, search
from shanhe.rulebook.api import Decision, Rulebook

NEAREST_MAX = 3
PURPOSE = "programmes"
NOTHING = Text(zh="按规则计算金额为零", en="by the rule there is nothing to give")
PRICE_RULE, PRICE_PARAMETER = "P1", "list_price_fen"

Measure = Callable[..., Awaitable[Any]]
"""(party, day) or, of one of its things, (party, day, name): what the city itself measures; None when it can't be
said."""
PartyOf = Callable[[UUID], Awaitable[Party]]
FreeOf = Callable[[str], Awaitable[int]]


@dataclass(frozen=True)
class Question:
    """Who asks for what, and as of when. `on` picks the version of the rules, `as_of` the facts."""

    programme: Programme
    party: Party
    answers: Mapping[str, Any]
    on: date
    as_of: date
    n: int = 1
    application: UUID | None = None


@dataclass
class _Findings:
    reasons: list[Reason] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    traces: dict[str, Any] = field(default_factory=dict)


class Judge:
    """Reads only; the same question gives the same answer as long as facts and rules stay."""

    def __init__(
        self, db: Database, *, rulebook: Rulebook, facts: Facts, catalogue: Catalogue, party: PartyOf, free: FreeOf,
        measures: Mapping[str, Measure],
    ) -> None:  # fmt: skip
        self._db = db
        self._rulebook = rulebook
        self._facts = facts
        self._catalogue = catalogue
        self._party = party
        self._free = free
        self._measures = measures

    async def outcome(self, question: Question) -> Outcome:
        """Every condition and the amount; all reasons against are named at once."""
        found = _Findings()
        async with self._facts.reading(_use(question)) as reader:
            for condition in question.programme.conditions:
                decision = await self._decide(condition, question, found, reader)
                if decision is not None and not decision.outputs[condition.when]:
                    found.reasons.append(self._reason(condition, decision, question.on))
            asked = self.about(question)
            decision = await self._decide(question.programme.amount, asked, found, reader)
        if question.programme.schedule.kind == "guarantee" and question.programme.schedule.due not in question.answers:
            found.missing.append(question.programme.schedule.due)
        payments = await self._payments(question, decision, found) if decision is not None else ()
        schedule, publishes = question.programme.schedule, question.programme.publishes
        outputs = decision.outputs if decision is not None else {}
        if decision is not None and not payments and question.programme.grants and not found.missing:
            found.reasons.append(self._nothing(question.programme, decision, asked.on))
        return Outcome(
            reasons=tuple(found.reasons),
            missing=tuple(dict.fromkeys(found.missing)),
            payments=payments,
            count=self._count(question, outputs),
            due_on=outputs.get(schedule.due) if schedule.due and schedule.kind != "guarantee" else None,
            until=outputs.get(publishes.until) if publishes and publishes.until else None,
            versions=found.versions,
            traces=found.traces,
        )

    def about(self, question: Question) -> Question:
        """What the amount rule is asked: a month that has passed as it ended, anything else as of today."""
        last = month_of(question.programme.amount, question.answers, question.on)
        return question if last is None else replace(question, on=last, as_of=last + timedelta(days=1))

    def _count(self, question: Question, outputs: Mapping[str, Any]) -> int:
        """How many tranches: an output of the amount rule, a parameter, else one."""
        named = question.programme.schedule.count
        rule, dot, name = named.partition(".")
        if dot:
            return int(self._rulebook.parameter(rule, name, question.on))
        return int(outputs.get(named, 1)) if named else 1

    async def _decide(
        self, part: Amount | Condition, question: Question, found: _Findings, reader: Reader
    ) -> Decision | None:
        """The rule's decision; None, with what is missing noted, when its facts are not complete."""
        values: dict[str, Any] = {}
        complete = True
        for name, source in part.facts.items():
            value = await self._value(source, question, reader)
            if known(value):
                values[name] = value
            elif source.otherwise is not ABSENT:
                values[name] = source.otherwise
            else:
                found.missing.append(
                    source.asked
                    or source.fact
                    or source.fell
                    or source.key
                    or source.measured
                    or source.award
                    or source.of
                    or name
                )
                complete = False
        if not complete:
            return None
        decision = self._rulebook.evaluate(part.rule, values, on=question.on)
        found.versions[decision.rule_id] = decision.version
        found.traces[decision.rule_id] = decision.trace
        return decision

    async def _value(self, source: Source, question: Question, reader: Reader) -> Any:
        if source.is_ is not ABSENT:
            return source.is_
        if source.asked:
            return question.answers.get(source.asked)
        if source.day:
            return question.on if source.day == "applied" else question.as_of
        if source.tranche:
            return question.n
        if source.budget:
            return await self._free(source.budget)
        party = question.party
        if source.of:
            named = question.answers.get(source.of)
            if not isinstance(named, str):
                return None
            party = await self._party(UUID(named))
        day = today_of(question.answers, source, question.as_of)
        if source.relation:
            return await _relation(reader, source.relation, question.party.subject, party.subject, day)
        if source.award:
            return await self._awarded(question.answers.get(source.award), source.programme, party)
        if source.past:
            return await self._past(source.past, question, party)
        if source.fell:
            return await _fell(reader, party.subject, source.fell, question.on, day)
        if source.measured:
            return await self._measured(source, question, party, day)
        value = await reader.value(party.subject, source.fact, on=day, sound=not source.declared)
        return value is not None if source.whether else value

    async def truth(self, source: Source, question: Question) -> bool:
        """Whether a single source is true; False while nothing is known."""
        async with self._facts.reading(_use(question)) as reader:
            return bool(await self._value(source, question, reader))

    async def _measured(self, source: Source, question: Question, party: Party, day: date) -> Any:
        measure = self._measures[source.measured]
        if not source.key:
            return await measure(party, day)
        named = question.answers.get(source.key)
        return await measure(party, day, named) if isinstance(named, str) else None

    async def measured(self, name: str, party: Party, day: date) -> Any:
        """What the city measures about a party as of a day."""
        return await self._measures[name](party, day)

    async def _awarded(self, application: Any, programme: str, party: Party) -> int | None:
        """What another application of a programme was paid, in minor units of its asset; 0 if it is somebody else's."""
        if not isinstance(application, str):
            return None
        return await award_store.paid(self._db, UUID(application), programme, party.org_id)

    async def _past(self, what: str, question: Question, party: Party) -> int:
        name, before = question.programme.id, question.application
        if what == "ordinal":
            return 1 + await award_store.awards_of(self._db, name, party.subject, before=before)
        if what == "value_fen":
            credit_micro, fen = await award_store.promised(self._db, name, party.subject, before=before)
            price = int(self._rulebook.parameter(PRICE_RULE, PRICE_PARAMETER, question.on))
            return fen + -(-credit_micro * price // MICRO)
        return await award_store.received(self._db, name, party.org_id, question.on.year, excluding=before)

    async def _payments(self, question: Question, decision: Decision, findings: _Findings) -> tuple[Payment, ...]:
        found = []
        for grant in question.programme.grants:
            amount = int(decision.outputs[grant.output])
            if grant.named_by and grant.named_by not in question.answers:
                findings.missing.append(grant.named_by)
            elif amount > 0:
                found.append(self._payment(grant, amount, question))
        return tuple(found)

    def _payment(self, grant: Grant, amount: int, question: Question) -> Payment:
        to = question.answers.get(grant.to) if grant.to else None
        receiver = UUID(to) if isinstance(to, str) else question.party.org_id
        budget = grant.budget_for(str(question.answers.get(grant.named_by, "")))
        asset = self._catalogue.budgets[budget].asset
        return Payment(receiver, asset, budget, amount, grant.provenance, earmark=grant.earmark)

    def _reason(self, condition: Condition, decision: Decision, on: date) -> Reason:
        """A condition that fails, with the changes that would fulfil it."""
        nearest = self._nearest(decision, on, lambda outputs: bool(outputs.get(condition.when)))
        return Reason(f"{decision.rule_id}.{condition.when}", condition.zh, condition.en, decision.rule_id, nearest)

    def _nothing(self, programme: Programme, decision: Decision, on: date) -> Reason:
        """A rule that gives nothing, with the changes by which it would give something."""
        said = programme.amount.nothing or NOTHING
        nearest = self._nearest(decision, on, lambda outputs: any(_above(outputs, g.output) for g in programme.grants))
        return Reason(f"{decision.rule_id}.nothing", said.zh, said.en, decision.rule_id, nearest)

    def _nearest(self, decision: Decision, on: date, helps: Helps) -> tuple[Mapping[str, str], ...]:
        changes = [*decision.trace.get("nearest", ()), *decision.trace.get("alternatives", ())]
        found = [change["text"] for change in changes if helps(change.get("outputs", {}))]
        return tuple(found or search(self._rulebook, decision, on, helps))[:NEAREST_MAX]


def _use(question: Question) -> Use:
    """For what the facts of a question are read."""
    return Use(PURPOSE, f"programme:{question.programme.id}", str(question.application or ""))


async def _fell(reader: Reader, subject: UUID, name: str, since: date, day: date) -> bool | None:
    """Whether a fact was lower at any time after `since` than on that day. What was corrected since never was."""
    before = await reader.value(subject, name, on=since, sound=True)
    sound = [fact for fact in await reader.history(subject, name) if fact.standing is not Standing.DECLARED]
    later = {fact.valid_from: fact.value for fact in sound if since < fact.valid_from <= day}
    return any(type(value) is int and value < before for value in later.values()) if type(before) is int else None


async def _relation(reader: Reader, kind: str, own: UUID, other: UUID, day: date) -> bool:
    if kind == "same":
        return own == other
    if kind == "cycle":
        return await reader.leads_to(own, "referred_by", other, on=day)
    return await reader.related(own, other, on=day) is not None


def _above(outputs: Mapping[str, Any], name: str) -> bool:
    value = outputs.get(name)
    return isinstance(value, int) and value > 0
