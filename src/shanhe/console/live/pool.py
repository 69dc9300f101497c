"""Lent machines over the pool, as plain data: what its own HTTP views say, and what they earned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from shanhe.console import model as m
from shanhe.console.live.modules import Withheld, actor_of
from shanhe.identity.api import PermissionMissing
from shanhe.kernel.clock import city_date
from shanhe.pool.api import Pool
from shanhe.pool.routes import changer_of, node_list, node_page, owner_of

DAYS, PROOFS = 30, 20


class LivePool:
    def __init__(self, pool: Pool, withheld: Withheld) -> None:
        self._pool = pool
        self._withheld = withheld

    async def nodes(self, who: m.Who) -> Mapping[str, Any]:
        nodes = await node_list(self._pool, owner_of(actor_of(who)))
        plan = None
        if who.may("engines"):
            found = await self._pool.planner.plan()
            plan = {"placed": found.placed, "moves": [plain(one) for one in found.moves], "unmet": plain(found.unmet)}
        return {"nodes": nodes, "plan": plan}

    async def token(self, who: m.Who, name: str) -> str:
        """Leave for one machine of one's own organisation; shown once."""
        if not who.has_org or not who.may("keys"):
            raise PermissionMissing("keys")
        secret, _ = await self._pool.make_token(name, who.org_id, actor=actor_of(who).ref)
        return secret

    async def node(self, who: m.Who, name: str) -> Mapping[str, Any]:
        node = await self._pool.node(name, owner_of(actor_of(who)))
        since = self._pool.now() - timedelta(days=DAYS)
        income = await self._pool.earnings.days(node, since)
        return await node_page(self._pool, node) | {
            "days": income.days,
            "whole_since": income.since if income.since > city_date(since) else None,
            "proofs": await self._pool.earnings.proofs(node, PROOFS),
        }

    async def change(self, who: m.Who, name: str, step: str, reason: str, *, restore: bool) -> bool:
        """Whether a second person has to agree."""
        org = changer_of(actor_of(who))
        node, own = await self._pool.node(name, org), org is not None
        actor = actor_of(who).ref
        if own and (restore or step in ("quarantine", "withheld")):
            raise PermissionMissing("engines")
        if step == "restart":
            await self._pool.restart(node.name, actor=actor)
        elif step == "withheld":
            done = await self._withheld.decide(node.name, give_back=restore, reason=reason, by=actor)
            return not isinstance(done, int)
        elif step == "quarantine":
            await self._pool.quarantine(node.name, actor=actor, reason=reason)
        elif step == "remove":
            await self._pool.remove(node.name, actor=actor, own=own)
        elif step == "release" and restore:
            return await self._withheld.release(node.name, reason=reason, by=actor) is not None
        elif step == "release":
            await self._pool.release(node.name, actor=actor, reason=reason, own=own)
        else:
            await self._pool.drain(node.name, actor=actor, reason=reason, own=own)
        return False


def plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
