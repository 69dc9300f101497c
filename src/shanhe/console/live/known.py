"""Facts as pages show them: read on a ground, written as people write amounts, recorded with a second person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, Names, actor_of
from shanhe.facts.api import Kind, NewFact, Standing, Use, fact_view, names
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_fen, parse_credits, parse_yuan, said_credits

PERCENT_BPS = 100
YES, NO = ("是", "yes", "true", "1"), ("否", "no", "false", "0")
WRITTEN = {"fen": "yuan", "micro": "credits", "bps": "percent"}
"""How a value of a unit is written on a page; others by the type of their kind."""


class LiveKnown:
    """See `ports_known.KnownDesk`."""

    def __init__(self, modules: Modules, called: Names) -> None:
        self._facts = modules.facts
        self._programmes = modules.programmes
        self._rulings = modules.rulings
        self._names = called

    async def page(self, who: m.Who, org_id: UUID) -> Mapping[str, Any]:
        party = await self._programmes.party(org_id)
        async with self._facts.reading(Use("oversight", actor_of(who).ref)) as reader:
            found = await reader.history(party.subject)
        of = "person" if party.person_id else "org"
        return {
            "name": await self._names.owner(org_id), "org_id": org_id, "id": str(new_id()),
            "facts": [{**fact_view(one), "said": _said(names()[one.name], one.value)} for one in reversed(found)],
            "kinds": [(name, (kind.zh, kind.en), _written(kind), kind.keyed) for name, kind in names().items()
                      if kind.of in (of, "any")],
        }  # fmt: skip

    async def record(self, who: m.Who, org_id: UUID, fields: Mapping[str, str]) -> None:
        name = fields.get("name", "")
        kind = names().get(name)
        if kind is None:
            raise Invalid("unknown_fact", "Choose one of the facts.", message_zh="请选择事实名称。")
        key = fields.get("key", "").strip()
        if kind.keyed == "party" and key:
            key = str((await self._programmes.party(await self._programmes.find(key))).subject)
        new = NewFact(
            UUID(fields.get("id", "")), (await self._programmes.party(org_id)).subject, name,
            _meant(kind, fields.get("value", "").strip()), _day(fields.get("from", "")),
            _day(fields["to"]) if fields.get("to") else None, key, Standing.CHECKED, fields.get("source", "").strip(),
            fields.get("evidence", "").strip(),
        )  # fmt: skip
        await self._rulings.record(org_id, new, by=actor_of(who).ref)


def _written(kind: Kind) -> str:
    return WRITTEN.get(kind.unit, kind.type)


def _said(kind: Kind, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if kind.unit == "fen":
        return f"¥ {format_fen(value)}"
    if kind.unit == "micro":
        return said_credits(value)
    return f"{value / PERCENT_BPS:g} %" if kind.unit == "bps" else f"{value:,}"


def _meant(kind: Kind, text: str) -> int | str | bool | None:
    """A value as it was typed; Invalid or Unreadable says how to write it."""
    if not text:
        return None
    if kind.type == "bool":
        if text.casefold() in (*YES, *NO):
            return text.casefold() in YES
        raise Invalid("bad_fact", "Write yes or no.", message_zh="请填写“是”或“否”。")
    if kind.type in ("text", "date"):
        return str(_day(text)) if kind.type == "date" else text
    if kind.unit == "fen":
        return parse_yuan(text)
    if kind.unit == "micro":
        return parse_credits(text)
    if kind.unit == "bps":
        return parse_yuan(text.rstrip("%％ "))  # hundredths, like fen
    if not text.replace(",", "").isascii() or not text.replace(",", "").isdigit():
        raise Invalid("bad_fact", f"{text[:20]!r} is no whole number.", message_zh=f"“{text[:20]}”不是整数。")
    return int(text.replace(",", ""))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid("bad_day", f"{text[:20]!r} is no day: write 2026-01-31.",
                      message_zh=f"“{text[:20]}”不是日期，请按 2026-01-31 的格式填写。") from error  # fmt: skip
