"""Nodes of the pool in the registry of engines: what each offers now, at the reference cost of its chip."""

from __future__ import annotations

from typing import Any, Final

from shanhe.compute import store
from shanhe.compute.address import ENGINE_NAME, MODEL_ID, UNIX
from shanhe.compute.errors import BadEngine, EngineExists
from shanhe.compute.model import (
    DEFAULT_FEATURES,
    GENERAL,
    LOCAL_CLASSES,
    Engine,
    EngineKind,
    EngineModel,
    NodeEngine,
    NodeModel,
)
from shanhe.compute.price_desk import PriceDesk
from shanhe.compute.registration import MODELS_MAX
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

FIRST_TOKEN_MS: Final = 60_000
IDLE_MS: Final = 60_000
FEATURES: Final = DEFAULT_FEATURES - {"vision", "audio", "file"}
"""A node's own word on token counts is not asked for: it is paid by them."""


class NodeDesk:
    """Writes a node's engine. The caller holds the transaction."""

    def __init__(self, desk: PriceDesk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def put(self, conn: Any, node: NodeEngine, actor: str) -> None:
        """Insert or follow; models that the city does not know are left out unless the node may bring them."""
        if not ENGINE_NAME.match(node.name):
            raise BadEngine("name", f"{node.name!r} is no engine name.", f"{node.name!r} 不是合法的引擎名。")
        known = {row["id"]: row for row in await store.models(conn)}
        served = []
        for model, offer in sorted(node.models.items())[:MODELS_MAX]:
            found = await self._served(conn, known, node, model, offer)
            if found is not None:
                served.append(found)
        engine = self._engine(node, tuple(served))
        row = await conn.fetchrow("SELECT id, kind FROM compute.engine WHERE name = $1 FOR UPDATE", node.name)
        if row is None:
            await store.insert_engine(conn, engine, actor)
            await store.add_event(conn, node.name, "added", engine.url, actor, engine.created_at)
        elif row["kind"] != EngineKind.NODE:
            raise EngineExists(node.name)
        else:
            await store.follow_node(conn, row["id"], engine)
        await self._price(conn, served, actor)
        await store.changed(conn)

    async def _served(
        self, conn: Any, known: dict[str, Any], node: NodeEngine, model: str, offer: NodeModel
    ) -> EngineModel | None:
        row = known.get(model)
        if row is None:
            if not node.new_models or not MODEL_ID.match(model):
                return None
            await store.add_model(
                conn, model, kind=offer.kind, title_zh=model, title_en=model, licence="", made_by=node.name,
                price_class=offer.price_class, now=self._clock.now(),
            )  # fmt: skip
        elif row["kind"] != offer.kind:
            return None
        price_class = offer.price_class if row is None else row["price_class"]
        cost = self._desk.reference_cost(node.chip_class, price_class)
        if cost is None:
            return None
        return EngineModel(model, model, offer.kind, offer.context_tokens, cost, price_class)

    def _engine(self, node: NodeEngine, served: tuple[EngineModel, ...]) -> Engine:
        return Engine(
            id=new_id(),
            name=node.name,
            kind=EngineKind.NODE,
            url=f"{UNIX}{node.socket}",
            key_env="",
            contributor=node.contributor,
            local=node.local,
            data_classes=LOCAL_CLASSES if node.local else frozenset({GENERAL}),
            features=FEATURES,
            enabled=bool(served),
            lazy=False,
            slots=node.slots,
            queue=node.queue,
            first_token_timeout_ms=FIRST_TOKEN_MS,
            idle_timeout_ms=IDLE_MS,
            created_at=self._clock.now(),
            models=served,
        )

    async def _price(self, conn: Any, served: list[EngineModel], actor: str) -> None:
        priced = {one.model for one in await store.prices(conn)}
        for one in served:
            if one.model not in priced:
                await self._desk.publish(conn, one.model, self._clock.today(), actor)


async def drop_node(db: Database, name: str) -> None:
    """Disable a node's engine, if there is one."""
    async with db.transaction() as conn:
        if await store.set_enabled(conn, name, False):
            await store.changed(conn)
