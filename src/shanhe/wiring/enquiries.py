"""What the city answers over MCP: the caller's balance, rules, programmes, a form looked over, news, the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from shanhe.bulletin.api import UnknownIssue, issue_view
from shanhe.kernel.errors import Invalid
from shanhe.ledger.api import Asset
from shanhe.mcp.api import Answer, CityTool, CityTools, Tool, schema
from shanhe.programmes.api import checked_view, entitlement_view

if TYPE_CHECKING:
    from shanhe.bulletin.api import Bulletin
    from shanhe.identity.api import Caller
    from shanhe.kernel.clock import Clock
    from shanhe.ledger.api import Ledger
    from shanhe.programmes.api import Programmes
    from shanhe.rulebook.api import Rulebook
    from shanhe.store.api import Store

LISTINGS_SHOWN: Final = 50
"""As many as a model reads."""

Asked = tuple[Tool, Answer]


def city_tools(
    clock: Clock, ledger: Ledger, rulebook: Rulebook, programmes: Programmes, store: Store,
    bulletin: Bulletin,
) -> CityTools:  # fmt: skip
    """Everything that can be asked."""
    asked = (*_books(clock, ledger, rulebook), *_promises(programmes, bulletin), _listings(store))
    return CityTools({tool.name: CityTool(tool, answer) for tool, answer in asked})


def _books(clock: Clock, ledger: Ledger, rulebook: Rulebook) -> tuple[Asked, ...]:

    async def balance(caller: Caller, asked: Mapping[str, Any]) -> Any:
        account = await ledger.ensure_account(caller.org_id, Asset.CREDIT, "wallet")
        found = await ledger.balance(account.id)
        return {"available_micro": found.available, "balance_micro": found.balance, "held_micro": found.held,
                "by_provenance": {str(key): value for key, value in found.by_provenance.items()}}  # fmt: skip

    async def rules(caller: Caller, asked: Mapping[str, Any]) -> Any:
        find = str(asked.get("find", "")).lower()
        listed = [rulebook.rule(key) for key in rulebook.ids()]
        return [
            {"id": rule.id, "zh": rule.title.zh, "en": rule.title.en, "article": rule.article}
            for rule in listed
            if not find or find in f"{rule.id} {rule.title.zh} {rule.title.en}".lower()
        ]

    async def evaluate(caller: Caller, asked: Mapping[str, Any]) -> Any:
        facts = asked.get("facts", {})
        if not isinstance(facts, dict):
            raise Invalid("bad_facts", "facts must be an object.", message_zh="facts 须为对象。")
        decision = rulebook.evaluate(str(asked.get("rule", "")), facts, on=_day(asked.get("on"), clock.today()))
        return {"outputs": decision.outputs, "trace": decision.trace}

    text = {"type": "object", "description": "What the rule wants to know; see its schema in the rulebook."}
    return (
        (Tool("shanhe_balance", "AI Credits of your organisation, in micro-credits. 查询本机构积分。", schema()),
         balance),
        (Tool("shanhe_rules", "The city's rules by id and title. 查询规则列表。",
              schema(find="Part of a title 标题关键词")), rules),
        (Tool("shanhe_evaluate", "Ask a rule: outputs and why. 按规则计算并给出理由。",
              schema(("rule", "facts"), rule="Like P6", on="Day, like 2026-11-26", facts=text)), evaluate),
    )  # fmt: skip


def _promises(programmes: Programmes, bulletin: Bulletin) -> tuple[Asked, ...]:
    async def opportunities(caller: Caller, asked: Mapping[str, Any]) -> Any:
        known = programmes.catalogue
        found = await programmes.applying.entitlements(caller.org_id)
        return [entitlement_view(known.programmes[item.programme], item, known) for item in found]

    async def check(caller: Caller, asked: Mapping[str, Any]) -> Any:
        answers, evidence = asked.get("answers", {}), asked.get("evidence", {})
        if not isinstance(answers, dict) or not isinstance(evidence, dict):
            raise Invalid(
                "bad_form", "answers and evidence must be objects.", message_zh="answers 与 evidence 须为对象。"
            )
        found = await programmes.checking.check(
            str(asked.get("programme", "")), caller.org_id, answers=answers, evidence=evidence
        )
        return checked_view(found, programmes.catalogue)

    async def news(caller: Caller, asked: Mapping[str, Any]) -> Any:
        try:
            return issue_view(await bulletin.issue())
        except UnknownIssue:
            return issue_view(await bulletin.preview())

    form = {"type": "object", "description": "By the names of the programme's form."}
    return (
        (Tool("shanhe_programmes", "What the city offers, and whether you qualify. 查询政策与资格。", schema()),
         opportunities),
        (Tool("shanhe_check_form", "Look an application over without sending it. 申请表预检，不提交。",
              schema(("programme",), programme="Id of the programme", answers=form, evidence=form)), check),
        (Tool("shanhe_bulletin", "What changed this week and what is open. 每周播报与机会清单。", schema()), news),
    )  # fmt: skip


def _listings(store: Store) -> Asked:
    async def listings(caller: Caller, asked: Mapping[str, Any]) -> Any:
        first = asked.get("first", 0)
        if type(first) is not int or first < 0:
            raise Invalid("bad_first", "first is a whole number from 0.", message_zh="first 须为不小于 0 的整数。")
        found = await store.leaf(asked.get("kind"), None, asked.get("find"), first=first, most=LISTINGS_SHOWN)
        items = [{**asdict(card.listing), "name": card.listing.name, "score": card.score} for card in found.cards]
        return {"items": items, "first": first, "count": found.count}

    return (
        Tool("shanhe_store", f"Agents, tools, models, data, prompts: {LISTINGS_SHOWN} of `count`. 查询商店。",
             schema(kind="agent, mcp, model, data or prompt", find="Part of a title 标题关键词",
                    first={"type": "integer", "minimum": 0, "description": "How many to leave out 跳过的条数"})),
        listings,
    )  # fmt: skip


def _day(text: Any, today: date) -> date:
    if text is None:
        return today
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise Invalid("bad_date", "Write a day like 2026-11-26.", message_zh="日期格式如 2026-11-26。") from error
