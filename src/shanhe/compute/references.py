"""Engines that the city trusts, asked what a node should have said: its own and its suppliers', no contributor's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx

from shanhe.compute.client import EngineClient
from shanhe.compute.errors import EngineFailed, NoTokenizer
from shanhe.compute.routing import RoutingTable
from shanhe.compute.target import Target

OK: Final = 200


class References:
    """Reads the routing table that is in force; asks with bounds, and never in the hot path."""

    def __init__(self, table: Callable[[], RoutingTable], client: EngineClient) -> None:
        self._table = table
        self._client = client

    def find(self, model: str, *, local_only: bool) -> Target | None:
        """A trusted engine of a model that can answer now, the least loaded one; `local_only` keeps prompts at home."""
        moment = time.monotonic()
        fit = [
            target
            for target in self._table().targets.get(model, ())
            if target.contributor is None and target.state.usable(moment) and (target.local or not local_only)
        ]
        return min(fit, key=lambda target: target.state.load, default=None)

    async def count(self, target: Target, text: str) -> int | None:
        """Tokens of a text by the engine's tokenizer; None where it has none."""
        try:
            return await self._client.tokenize(target, text)
        except NoTokenizer:
            return None

    async def ask(self, target: Target, messages: Sequence[Mapping[str, Any]], max_tokens: int) -> str:
        """The greedy answer to a conversation; EngineBusy or EngineFailed."""
        await target.acquire()
        ok = False
        try:
            text = await self._client.greedy(target, messages, max_tokens)
            ok = True
        except httpx.HTTPError as error:
            raise EngineFailed(target.engine_name, str(error)[:200]) from error
        finally:
            target.release(ok, None, OK if ok else 0)
        return text
