"""Starters over their module, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.kernel.ids import id_in, new_id
from shanhe.starters.api import Starters
from shanhe.starters.routes import copied_view, shown_view


class LiveStarters:
    def __init__(self, modules: Modules) -> None:
        self._starters: Starters = modules.starters

    async def gallery(self, who: m.Who, language: str) -> Sequence[Mapping[str, Any]]:
        return [shown_view(one) for one in await self._starters.every(language, who.org_id)]

    async def copy(self, who: m.Who, name: str, language: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        chosen = fields.get("knowledge", "")
        return copied_view(await self._starters.copy(
            name, language, copy_id=id_in(fields.get("id")) or new_id(), org_id=who.org_id, by=actor_of(who).ref,
            slug=fields.get("slug", ""), model=fields.get("model", ""), knowledge=[chosen] if chosen else [],
        ))  # fmt: skip
