"""Further names of models: what clients have built in (`gpt-4o-mini`), or what stays when the model behind it changes.

A call by another name is a call of the model: its price, its rules, its receipt, and its name in the answer. A model
that is registered under the same name goes before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from shanhe.compute import store
from shanhe.compute.address import MODEL_ID
from shanhe.compute.errors import BadAlias, UnknownAlias, UnknownModel
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database

ALIASES_MAX: Final = 200
RESERVED: Final = ("agent/", "clone/", "alliance/", "clone-")
"""How names begin that are answered by somebody else, or that only a listing may call."""
Reload = Callable[[], Awaitable[None]]
Known = Callable[[], Mapping[str, Any]]


class Aliases:
    """Names given and taken; `known` has the models in service by their own names."""

    def __init__(self, db: Database, clock: Clock, *, reload: Reload, known: Known) -> None:
        self._db = db
        self._clock = clock
        self._reload = reload
        self._known = known

    async def every(self) -> dict[str, str]:
        """Models by their further names."""
        return await store.aliases(self._db)

    async def point(self, name: str, model: str, *, actor: str) -> None:
        """Let a name mean a model from now on; BadAlias, UnknownModel."""
        if not MODEL_ID.fullmatch(name) or name.startswith(RESERVED):
            raise BadAlias("it is no name of a model", "不是模型名称的写法")
        if model.startswith(RESERVED):
            raise BadAlias("this model answers through a clone alone", "该模型只通过数字分身回答")
        known = self._known()
        if model not in known or known[model].id != model:
            raise UnknownModel(model)
        if name in known and known[name].id == name:
            raise BadAlias("a model is called so itself", "已有同名的模型")
        async with self._db.transaction() as conn:
            if not await store.point(conn, name, model, actor, self._clock.now(), ALIASES_MAX):
                raise BadAlias(f"there are {ALIASES_MAX} already", f"已有 {ALIASES_MAX} 个")
            await store.changed(conn)
        await self._reload()

    async def drop(self, name: str, *, actor: str) -> None:
        """Let a name mean nothing any more; UnknownAlias."""
        async with self._db.transaction() as conn:
            if not await store.drop_alias(conn, name, actor, self._clock.now()):
                raise UnknownAlias(name)
            await store.changed(conn)
        await self._reload()
