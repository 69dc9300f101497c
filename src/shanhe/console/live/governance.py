"""See `ports.Governance`: over governance and the rulebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.console.live.rules import versions
from shanhe.console.units import form_of
from shanhe.governance.api import (
    NewProposal,
    UnknownSimulation,
    Vote,
    duties,
    duty_view,
    file_view,
    project_view,
    proposal_view,
    sample_view,
    score_view,
    simulation_csv,
    simulation_view,
)
from shanhe.kernel.clock import add_months
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_yuan
from shanhe.kernel.paging import Leaf, cut
from shanhe.rulebook.api import Parameter

DUTIES_SHOWN, LISTED_ROWS = 200, 50
REASON_CHARS = 200

RULE_CHANGE = "rulebook_change"
RULES, WHOLE = "rules", "ledger"
"""The permissions of those who may ask without a seat, and who see sums of few people."""
HUNDREDTHS = ("cumulative_profit_fen", "availability_bps")


class LiveGovernance:
    """Proposals for everybody, votes for seats, figures and projects for operators."""

    def __init__(self, modules: Modules) -> None:
        self._deciding = modules.governance.deciding
        self._watching = modules.governance.watching
        self._sampling = modules.governance.sampling
        self._simulating = modules.governance.simulating
        self._rulebook = modules.rulebook
        self._amendments = modules.amendments
        self._clock = modules.clock

    async def proposals(self, who: m.Who | None, before: UUID | None) -> Leaf[Mapping[str, Any]]:
        found = cut(await self._deciding.proposals(before=before, limit=LISTED_ROWS + 1), LISTED_ROWS)
        return Leaf([proposal_view(one) for one in found.rows], found.following)

    async def proposal(self, who: m.Who | None, proposal: UUID, past: UUID | None = None) -> Mapping[str, Any]:
        """With its simulations, and what this person can do: `comment`, `vote`, `veto`, `withdraw`, `simulate`."""
        file = await self._deciding.file(proposal, past=past)
        one, can = file.proposal, list[str]()
        if who is not None:
            seats = await self._deciding.seats_of(who.person_id)
            mine = one.proposed_by == who.person_id
            if one.state == "discussion":
                can.append("comment")
            if one.state == "voting" and one.at(one.step) in seats and not mine:
                can.append("vote")
            if one.veto and one.state in ("voting", "approved", "announced") and "data_group" in seats and not mine:
                can.append("veto")
            if mine and one.state in ("discussion", "voting", "approved"):
                can.append("withdraw")
            if one.matter == RULE_CHANGE and (seats or who.may(RULES)):
                can.append("simulate")
        simulations = [simulation_view(found, whole=_whole(who), traces=False)
                       for found in await self._simulating.of(proposal)]  # fmt: skip
        sample = await self._sampling.get(proposal)
        return {**file_view(file), "can": can, "back": self._back(file), "simulations": simulations,
                "sample": sample_view(sample) if sample else None}  # fmt: skip

    def _back(self, file: Any) -> dict[str, str] | None:
        """A form that proposes the former value again, of an adopted change of one number."""
        one, rows = file.proposal, file.proposal.content.get("parameters", {})
        if one.state != "adopted" or len(rows) != 1 or len(file.changes) != 1:
            return None
        name, parameter = file.changes[0]["name"], self._rulebook.rule(one.rule_id or "").parameter(next(iter(rows)))
        before = file.changes[0]["before"]
        if parameter is None or parameter.type != "value" or name != parameter.name or type(before) is not int:
            return None
        value = form_of(parameter.unit).show(before)
        return {"rule": one.rule_id or "", "parameter": name, "value": value}

    async def may_propose(self, who: m.Who | None) -> bool:
        return who is not None and bool(await self._deciding.seats_of(who.person_id))

    async def form(self, rule_id: str) -> Mapping[str, Any]:
        known = duties()
        first, announced, notice = self._deciding.calendar(RULE_CHANGE)
        return {
            "days": {"first": first, "announced": announced, "notice": notice,
                     "from": announced + timedelta(days=notice)},
            "matters": [{"id": name, "title": {"zh": one.zh, "en": one.en}} for name, one in known.matters.items()],
            "departments": [{"id": name, "title": {"zh": one.zh, "en": one.en}}
                            for name, one in known.departments.items()],
            "rules": [(one, self._rulebook.rule(one).title.to_dict()) for one in self._rulebook.ids()],
            **self._of_rule(rule_id),
        }  # fmt: skip

    def _of_rule(self, rule_id: str) -> dict[str, Any]:
        """A rule by its whole id, and what can be changed in it: name, title, the value in force, and the unit in which
        a new one is written."""
        found, today = [], self._clock.today()
        try:
            rule = self._rulebook.rule(rule_id)
        except ShanheError:  # none is chosen, or an address that somebody typed
            return {"rule": "", "parameters": []}
        for parameter in rule.parameters:
            value = next((row.value for row in versions(parameter, today) if row.in_force), "")
            found.append({"name": parameter.name, "title": parameter.title.to_dict(), "value": value,
                          "unit": _written(parameter)})  # fmt: skip
        return {"rule": rule.id, "parameters": found}

    async def propose(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        matter = fields.get("matter", "")
        announced = date.fromisoformat(fields.get("announced_on", ""))
        content = self._content(fields, announced) if matter == RULE_CHANGE else _facts(fields.get("content", ""))
        new = NewProposal(
            UUID(fields["id"]) if fields.get("id") else new_id(), matter, fields.get("title", ""),
            fields.get("why", ""), announced, content, fields.get("rule") or None, fields.get("department", ""),
        )  # fmt: skip
        return (await self._deciding.propose(new, person_id=who.person_id)).id

    def _content(self, fields: Mapping[str, str], announced: date) -> dict[str, Any]:
        """One value of one parameter, from a day on; more than that is proposed over HTTP or the command line."""
        rule = self._rulebook.rule(fields.get("rule", ""))
        name = fields.get("parameter", "").strip()
        parameter = rule.parameter(name)
        if parameter is None:
            names = ", ".join(parameter.name for parameter in rule.parameters)
            raise Invalid(
                "unknown_parameter", f"{rule.id} has no parameter {name!r}; it has {names}.",
                message_zh=f"{rule.id} 没有参数 {name!r}；可选：{names}。",
            )  # fmt: skip
        row = {"from": date.fromisoformat(fields.get("from", "")).isoformat(), "announced": announced.isoformat(),
               "value": _value(parameter, fields.get("value", "")), "given": True}  # fmt: skip
        return {"parameters": {name: [row]}}

    async def comment(self, who: m.Who, proposal: UUID, text: str, comment_id: UUID) -> None:
        await self._deciding.comment(proposal, who.person_id, text, comment_id=comment_id)

    async def vote(self, who: m.Who, proposal: UUID, word: str, reason: str) -> None:
        await self._deciding.vote(proposal, who.person_id, Vote(word), reason=reason)

    async def withdraw(self, who: m.Who, proposal: UUID) -> None:
        await self._deciding.withdraw(proposal, who.person_id)

    async def set_aside(self, who: m.Who, amendment: UUID, reason: str, request_id: UUID) -> str:
        asked = await self._amendments.ask_aside(
            amendment, request_id=request_id, by=actor_of(who).ref, reason=reason.strip()[:REASON_CHARS]
        )
        return str(asked.payload["rule_id"])

    async def draft(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        announced = date.fromisoformat(fields["announced_on"]) if fields.get("announced_on") else self._clock.today()
        number = UUID(fields["try_id"]) if fields.get("try_id") else new_id()
        made = await self._simulating.draft(
            number, fields.get("rule", ""), self._content(fields, announced), by=actor_of(who).ref,
            months=not _whole(who),
        )  # fmt: skip
        return made.id

    async def simulation(self, who: m.Who | None, proposal: UUID | None, simulation: UUID) -> Mapping[str, Any]:
        found = await self._simulating.get(simulation)
        if found.proposal != proposal or (proposal is None and (who is None or not who.may(RULES))):
            raise UnknownSimulation()
        return simulation_view(found, whole=_whole(who))

    async def simulation_csv(self, who: m.Who | None, proposal: UUID | None, simulation: UUID) -> str:
        report = (await self.simulation(who, proposal, simulation))["report"]
        if report is None:
            raise UnknownSimulation()
        return simulation_csv(report)

    async def simulate(self, who: m.Who, proposal: UUID, fields: Mapping[str, str]) -> None:
        first, last = (date.fromisoformat(f"{fields.get(name, '')}-01") for name in ("first", "last"))
        days = first, add_months(last, 1) - timedelta(days=1)
        await self._simulating.ask(
            UUID(fields["id"]) if fields.get("id") else new_id(), proposal, days=days, by=actor_of(who).ref,
            person_id=None if who.may(RULES) else who.person_id,
        )  # fmt: skip

    async def board(self, who: m.Who | None) -> Mapping[str, Any]:
        decision, missing = await self._watching.profit_lock()
        duties = [duty_view(one) for one in (await self._watching.duties())[:DUTIES_SHOWN]]
        return {
            "scores": [score_view(one) for one in await self._watching.scorecard()],
            "projects": [project_view(one) for one in await self._watching.projects()],
            "duties": [list(of) for _, of in groupby(sorted(duties, key=_department), _department)],
            "lock": dict(decision.outputs) if decision is not None else None, "missing": missing,
        }  # fmt: skip

    async def record(self, who: m.Who, what: str, fields: Mapping[str, str]) -> None:
        by, number = actor_of(who).ref, UUID(fields["id"]) if fields.get("id") else new_id()
        on = date.fromisoformat(fields.get("on", ""))
        if what == "figure":
            await self._watching.record(
                fields.get("name", ""), _figure(fields), on=on, evidence=fields.get("evidence", ""),
                figure_id=number, by=by,
            )  # fmt: skip
        elif what == "review":
            await self._watching.review(
                fields.get("rule", ""), on=on, finding=fields.get("finding", ""), review_id=number, by=by
            )
        else:
            raise Invalid("unknown_record", "Nothing is recorded like that.", message_zh="无法记录该类内容。")


def _whole(who: m.Who | None) -> bool:
    return who is not None and who.may(WHOLE)


def _figure(fields: Mapping[str, str]) -> int:
    """A figure as people write it, in the units that are kept: profit in yuan, availability in percent."""
    text = fields.get("value", "")
    if fields.get("name") in HUNDREDTHS:  # fen and basis points are both hundredths of what is written
        return parse_yuan(text.removesuffix("%"))
    return int(text.replace(",", ""))


def _department(duty: Mapping[str, Any]) -> str:
    return str(duty["department"]["zh"])


def _written(parameter: Parameter) -> str:
    """The unit in which people write a value: percent for basis points. Lists, bands and tables are JSON in the
    rulebook's own units."""
    return form_of(parameter.unit).word or parameter.unit if parameter.type == "value" else parameter.unit


def _value(parameter: Parameter, text: str) -> Any:
    """A value as the rulebook has it, out of what somebody wrote: 25 for 25 %. Invalid for what can't be read."""
    form = form_of(parameter.unit)
    if parameter.type == "value" and form.word:
        try:
            return form.read(text.rstrip(" %％"))
        except ValueError as error:
            raise Invalid(
                "bad_value", f"{parameter.title.en}: {text!r} is no number with at most {form.digits} decimals.",
                message_zh=f"“{parameter.title.zh}”的新值 {text!r} 无法读取，应为至多 {form.digits} 位小数的数字。",
                hint="Write 25 for 25 %, 12.50 for CNY 12.50.", hint_zh="25 % 写作 25，12.50 元写作 12.50。",
            ) from error  # fmt: skip
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


def _facts(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("bad_content", "The facts must be a JSON object.", message_zh="事项要素须为 JSON 对象。")
    return found
