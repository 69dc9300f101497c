"""The rulebook over HTTP: public to read, to ask and to check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, Field

from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.routing import APIRouter, Body
from shanhe.rulebook.amendments import Amendments
from shanhe.rulebook.browsing import Valued, values
from shanhe.rulebook.documents import FILE_CHARS
from shanhe.rulebook.model import DatedValue, Decision, Formula, Parameter, Rule, Unfit, canonical
from shanhe.rulebook.replay import replay
from shanhe.rulebook.service import Rulebook

FACTS_MAX = 200
FILES_MAX = 8
FIND_CHARS = 80


class Proposal(Body):
    """Dated rows to add to a rule; the client's id makes it idempotent."""

    id: UUID
    rule: str = Field(max_length=80)
    content: dict[str, Any] = Field(max_length=8)
    note: str = Field("", max_length=2_000)


class Past(Body):
    """The trace of a decision, as an answer or a case holds it."""

    trace: dict[str, Any] = Field(max_length=FACTS_MAX)


class Files(Body):
    """Rule files by name, looked at together."""

    files: dict[str, Annotated[str, Field(max_length=FILE_CHARS)]] = Field(min_length=1, max_length=FILES_MAX)


class Approval(Body):
    reason: str = Field("", max_length=200)


class Aside(Body):
    """Why an amendment is to be set aside; `id`: of the request, repeat it to repeat it."""

    id: UUID
    reason: str = Field(min_length=1, max_length=200)


class Question(Body):
    """Facts and dates to decide by."""

    facts: dict[str, Any] = Field(max_length=FACTS_MAX)
    on: date | None = None
    known: AwareDatetime | None = None


class Reports:
    """What the checks of a rulebook came to: asked for by anybody, worked out once a day and once for each edition.

    One at a time, since a check of all takes seconds of the processor that answers calls.
    """

    def __init__(self, source: Callable[[], Rulebook], today: Callable[[], date]) -> None:
        self._source = source
        self._today = today
        self._made: tuple[object, date, dict[str | None, dict[str, Any]]] = (None, date.min, {})
        self._working = asyncio.Lock()

    async def of(self, rule_id: str | None) -> dict[str, Any]:
        """The report of one rule or, for None, of all; RuleNotFound."""
        async with self._working:
            book, day = self._source(), self._today()
            if self._made[0] is not (edition := book.edition) or self._made[1] != day:
                self._made = (edition, day, {})
            reports, name = self._made[2], None if rule_id is None else book.rule(rule_id).id
            if name not in reports:
                reports[name] = (await asyncio.to_thread(book.check, name, today=day)).to_dict()
            return reports[name]


def router(rulebook: Rulebook | Callable[[], Rulebook], clock: Clock | None = None) -> APIRouter:
    """Routes under /api/rules; pass a callable where amendments can replace the rulebook while serving."""
    source: Callable[[], Rulebook] = rulebook if not isinstance(rulebook, Rulebook) else lambda: rulebook
    today = (clock or SystemClock()).today
    routes = APIRouter(prefix="/api/rules", tags=["rules"])

    @routes.get("")
    def list_rules() -> dict[str, Any]:
        book = source()
        rules = [_summary(book.rule(rule_id)) for rule_id in book.ids()]
        return {"rules": rules, "unfit": [unfit_to_dict(one) for one in book.unfit]}

    reports = Reports(source, today)

    @routes.post("/check")
    async def check_all() -> dict[str, Any]:
        return await reports.of(None)

    @routes.get("/values")
    def all_values(
        on: date | None = None, find: Annotated[str, Query(max_length=FIND_CHARS)] = "", coming: bool = False
    ) -> dict[str, Any]:
        """Every value in force on a day, and the next that is announced; `coming`: only what changes, soonest first."""
        day = on or today()
        return {"on": day.isoformat(), "data": [_valued(one) for one in values(source(), day, find, coming=coming)]}

    @routes.post("/replay")
    def replay_decision(body: Past) -> dict[str, Any]:
        """A decision made again by the version that decided; `outcome` is `same`, `differs` or `unknown`."""
        return asdict(replay(source(), body.trace))

    @routes.get("/{rule_id}")
    def show_rule(rule_id: str) -> dict[str, Any]:
        book = source()
        rule = book.rule(rule_id)
        unfit = [unfit_to_dict(one) for one in book.unfit if one.amendment.rule_id == rule.id]
        return rule_to_dict(rule) | {"unfit": unfit}

    @routes.get("/{rule_id}/diff")
    def diff(
        rule_id: str, first: Annotated[date, Query(alias="from")], second: Annotated[date, Query(alias="to")]
    ) -> dict[str, Any]:
        found = source().differences(rule_id, first, second)
        return {"rule": source().rule(rule_id).id, "from": first.isoformat(), "to": second.isoformat(),
                "changes": [one.to_dict() for one in found]}  # fmt: skip

    @routes.get("/{rule_id}/schema")
    def schema(rule_id: str, on: date | None = None) -> dict[str, Any]:
        return source().schema(rule_id, on or today())

    @routes.post("/{rule_id}/eval")
    def evaluate(rule_id: str, question: Question) -> dict[str, Any]:
        on, known = question.on or today(), question.known
        return decision_to_dict(source().evaluate(rule_id, question.facts, on=on, known=known))

    @routes.post("/{rule_id}/check")
    async def check_one(rule_id: str) -> dict[str, Any]:
        return await reports.of(rule_id)

    return routes


def amendment_router(amendments: Amendments, require: Callable[[str], Any]) -> APIRouter:
    """Proposing and deciding amendments, for operators; a truth knows no guard: `require(permission)` is handed in."""
    routes = APIRouter(prefix="/api/rules/amendments", tags=["rules"])
    read, write = Depends(require("ledger")), Depends(require("accounts"))

    @routes.get("", dependencies=[read])
    async def proposals() -> dict[str, Any]:
        """Proposals, newest first, with who asked and who decided; what is recorded, and what of it is `unfit`: not in
        force, since the rules as they are packaged can't take it."""
        recorded = [asdict(one) for one in await amendments.recorded()]
        proposals = [asdict(one) for one in await amendments.proposals()]
        return {"proposals": proposals, "recorded": recorded, "unfit": [unfit_to_dict(one) for one in amendments.unfit]}

    @routes.post("", status_code=201)
    async def propose(body: Proposal, actor: Any = write) -> dict[str, Any]:
        """Prove an amendment, then wait for a second operator."""
        by = actor.ref
        made = await amendments.propose(body.rule, body.content, amendment_id=body.id, by=by, note=body.note)
        return asdict(made)

    @routes.post("/check", dependencies=[write])
    def check(body: Files) -> dict[str, Any]:
        """What is wrong with whole rule files, as if they stood in the rulebook; nothing is kept of them."""
        found = amendments.mistakes(body.files)
        return {"ok": not found, "mistakes": [asdict(one) for one in found]}

    @routes.post("/{amendment_id}/approve")
    async def approve(amendment_id: UUID, body: Approval, actor: Any = write) -> dict[str, Any]:
        """The second operator agrees: recorded, announced, and in force from its dates."""
        return asdict(await amendments.approve(amendment_id, by=actor.ref, reason=body.reason))

    @routes.post("/{amendment_id}/set-aside", status_code=201)
    async def set_aside(amendment_id: UUID, body: Aside, actor: Any = write) -> dict[str, Any]:
        """Ask for a second operator to set aside an amendment that is not in force; its rule then decides again."""
        made = await amendments.ask_aside(amendment_id, request_id=body.id, by=actor.ref, reason=body.reason)
        return asdict(made)

    return routes


def unfit_to_dict(unfit: Unfit) -> dict[str, Any]:
    """An amendment that is not in force, and why; `since`: its rule decides nothing from that day on."""
    one = unfit.amendment
    since = unfit.since.isoformat() if unfit.since else None
    return {"amendment": one.id, "rule": one.rule_id, "note": one.note, "why": unfit.why.to_dict(), "since": since}


def _summary(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "kind": rule.kind,
        "title": rule.title.to_dict(),
        "article": rule.article,
        "department": rule.department.to_dict(),
        "review": rule.review.isoformat(),
        "hash": rule.content_hash,
    }


def _valued(one: Valued) -> dict[str, Any]:
    parameter = one.parameter
    return {
        "rule": one.rule.id, "name": parameter.name, "title": parameter.title.to_dict(), "unit": parameter.unit,
        "type": parameter.type, "now": _dated(one.now) if one.now else None,
        "then": _dated(one.then) if one.then else None,
    }  # fmt: skip


def rule_to_dict(rule: Rule) -> dict[str, Any]:
    """A whole rule with every dated version, as JSON values."""
    return _summary(rule) | {
        "event": {"name": rule.event, **rule.event_title.to_dict()},
        "note": rule.note.to_dict() if rule.note else None,
        "part_of": rule.part_of or None,
        "facts": [{"name": fact.name, "title": fact.title.to_dict(), "unit": fact.unit} for fact in rule.facts],
        "labels": {name: label.to_dict() for name, label in rule.labels.items()},
        "parameters": [_parameter(parameter) for parameter in rule.parameters],
        "formula": [_formula(formula) for formula in rule.formulas],
        "examples": [
            {
                "name": e.name,
                "on": e.on.isoformat(),
                "facts": canonical(e.facts),
                "outputs": canonical(e.outputs),
                "parameters": canonical(e.parameters),
                "with": canonical(e.given),
            }
            for e in rule.examples
        ],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "title": parameter.title.to_dict(),
        "type": parameter.type,
        "unit": parameter.unit,
        "of": parameter.of or None,
        "values": [_dated(value) for value in parameter.values],
    }


def _dated(value: DatedValue) -> dict[str, Any]:
    return {
        "from": value.start.isoformat(),
        "announced": value.announced.isoformat(),
        "value": canonical(value.value),
        "origin": value.origin,
        "reason": value.reason.to_dict() if value.reason else None,
        "article": value.article,
        "amendment": value.amendment,
    }


def _formula(formula: Formula) -> dict[str, Any]:
    return {
        "from": formula.start.isoformat(),
        "announced": formula.announced.isoformat(),
        "article": formula.article,
        "amendment": formula.amendment,
        "amount": formula.amount,
        "steps": [{"name": s.name, "title": s.title.to_dict(), "expr": s.expression} for s in formula.steps],
        "outputs": [
            {"name": o.name, "title": o.title.to_dict(), "expr": o.expression, "unit": o.unit, "round": o.rounding}
            for o in formula.outputs
        ],
    }


def decision_to_dict(decision: Decision) -> dict[str, Any]:
    """A decision as JSON values."""
    return {
        "rule": decision.rule_id,
        "amount": canonical(decision.amount),
        "unit": decision.unit,
        "outputs": canonical(decision.outputs),
        "exact": canonical(decision.exact),
        "version": decision.version,
        "article": decision.article,
        "trace": decision.trace,
    }
