"""HTTP of compute: models, engines, prices and health for operators; the public status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Depends
from pydantic import Field
from starlette.responses import StreamingResponse

from shanhe.compute.model import (
    BUCKETS,
    DEFAULT_FEATURES,
    GENERAL,
    Engine,
    EngineChange,
    EngineStatus,
    Kind,
    ModelCard,
    ModelInfo,
    NewEngine,
    Prices,
    PullState,
    Rates,
    TestReport,
)
from shanhe.compute.service import Compute
from shanhe.identity.api import Actor, require
from shanhe.kernel import http
from shanhe.kernel.routing import APIRouter, Body

EVENTS_POLL_S: Final = 0.5
EVENTS_LIMIT_S: Final = 3600.0
FINAL: Final = frozenset({"done", "failed"})
NAME_MAX: Final = 63
MODEL_MAX: Final = 120


Micro = Annotated[int, Field(ge=0, le=10**12, strict=True)]


class CostBody(Body):
    """µ per million tokens. Buckets left out cost what the nearest given one does."""

    input: Micro
    cached_input: Micro | None = None
    output: Micro
    reasoning: Micro | None = None
    tool: Micro | None = None
    cache_write: Micro | None = None

    def rates(self) -> Rates:
        return Rates.of(self.model_dump(exclude_none=True))


class EngineBody(Body):
    name: str = Field(max_length=NAME_MAX)
    url: str = Field(max_length=500)
    models: dict[str, str] = Field(default_factory=dict, max_length=200)
    cost: CostBody | None = None
    chip_class: str = Field("", max_length=32, pattern=r"^[a-z0-9_]*$")
    key_env: str = Field("", max_length=64)
    contributor: UUID | None = None
    local: bool = False
    data_classes: set[str] = Field(default_factory=lambda: {GENERAL}, max_length=8)
    features: set[Annotated[str, Field(max_length=32)]] | None = Field(None, max_length=32)
    kind: Kind = Kind.CHAT
    context_tokens: int = Field(32_768, ge=1, le=100_000_000)
    price_class: str = Field("", max_length=32, pattern=r"^[a-z0-9_-]*$")
    slots: int = Field(256, ge=1, le=100_000)
    queue: int = Field(1_024, ge=0, le=100_000)

    def registration(self) -> NewEngine:
        return NewEngine(
            name=self.name,
            url=self.url,
            models=self.models,
            cost=None if self.cost is None else self.cost.rates(),
            chip_class=self.chip_class,
            key_env=self.key_env,
            contributor=self.contributor,
            local=self.local,
            data_classes=frozenset(self.data_classes),
            kind=self.kind,
            context_tokens=self.context_tokens,
            price_class=self.price_class,
            slots=self.slots,
            queue=self.queue,
            features=DEFAULT_FEATURES if self.features is None else frozenset(self.features),
        )


class ChangeBody(Body):
    """What is to be otherwise; what is left out stays."""

    cost: CostBody | None = None
    local: bool | None = None
    data_classes: set[str] | None = Field(None, max_length=8)
    features: set[Annotated[str, Field(max_length=32)]] | None = Field(None, max_length=64)
    slots: int | None = Field(None, ge=1, le=100_000)
    queue: int | None = Field(None, ge=0, le=100_000)
    first_token_timeout_ms: int | None = Field(None, ge=100, le=3_600_000)
    idle_timeout_ms: int | None = Field(None, ge=100, le=3_600_000)

    def change(self) -> EngineChange:
        return EngineChange(
            cost=None if self.cost is None else self.cost.rates(),
            local=self.local,
            data_classes=None if self.data_classes is None else frozenset(self.data_classes),
            features=None if self.features is None else frozenset(self.features),
            slots=self.slots,
            queue=self.queue,
            first_token_timeout_ms=self.first_token_timeout_ms,
            idle_timeout_ms=self.idle_timeout_ms,
        )


class DiscoverBody(Body):
    url: str = Field(max_length=500)
    key_env: str = Field("", max_length=64)


class ReasonBody(Body):
    reason: str = Field("", max_length=200)


class ModelBody(Body):
    model: str = Field(min_length=1, max_length=MODEL_MAX)


class AliasBody(ModelBody):
    name: str = Field(min_length=1, max_length=MODEL_MAX)


class PriceBody(ModelBody):
    valid_from: date


Engineer = Annotated[Actor, Depends(require("engines"))]
Pricer = Annotated[Actor, Depends(require("models"))]


def router(compute: Compute) -> APIRouter:
    """Everything under /api/compute, and the public /api/status."""
    routes = APIRouter()
    http.take(routes, _models(compute), _engines(compute), _prices(compute))

    @routes.get("/api/status", tags=["status"])
    async def status() -> dict[str, Any]:
        """Public: whether each model can be used now."""
        return compute.public_status()

    return routes


def _models(compute: Compute) -> APIRouter:
    routes = APIRouter(prefix="/api/compute", tags=["compute"])

    @routes.get("/models")
    async def models(actor: Pricer) -> dict[str, Any]:
        """Models in service, and the cards of those that can be fetched."""
        return {
            "models": [model_json(one) for one in compute.models()],
            "cards": [card_json(one, compute.pulls.state(one.id)) for one in compute.cards()],
        }

    @routes.get("/aliases")
    async def aliases(actor: Pricer) -> dict[str, Any]:
        """Models by their further names."""
        return {"data": await compute.aliases.every()}

    @routes.put("/aliases", status_code=200)
    async def point(body: AliasBody, actor: Pricer) -> dict[str, Any]:
        """Let a name mean a model from now on."""
        await compute.aliases.point(body.name, body.model, actor=actor.ref)
        return {"data": await compute.aliases.every()}

    @routes.delete("/aliases/{name:path}", status_code=204)
    async def drop(name: str, actor: Pricer) -> None:
        """Let a name mean nothing any more."""
        await compute.aliases.drop(name, actor=actor.ref)

    @routes.post("/pulls", status_code=202)
    async def pull(body: ModelBody, actor: Pricer) -> dict[str, Any]:
        """Fetch a model's file in the background."""
        return asdict(await compute.pulls.start(body.model, actor=actor.ref))

    @routes.get("/pulls/{model}")
    async def pull_state(model: str, actor: Pricer) -> dict[str, Any]:
        """How far a download is, whichever process runs it."""
        return asdict(compute.pulls.state(model))

    @routes.get("/pulls/{model}/events")
    async def pull_events(model: str, actor: Pricer) -> StreamingResponse:
        """The same as server-sent events, until it is done or has failed."""
        compute.pulls.state(model)  # an unknown model is a 404, not a broken stream
        return StreamingResponse(_progress(compute, model), media_type="text/event-stream")

    return routes


async def _progress(compute: Compute, model: str) -> AsyncIterator[bytes]:
    try:
        async with asyncio.timeout(EVENTS_LIMIT_S):
            while True:
                state = compute.pulls.state(model)
                yield b"event: progress\ndata: " + msgspec.json.encode(asdict(state)) + b"\n\n"
                if state.state in FINAL:
                    return
                await asyncio.sleep(EVENTS_POLL_S)
    except TimeoutError:
        return


def _engines(compute: Compute) -> APIRouter:
    routes = APIRouter(prefix="/api/compute", tags=["compute"])

    @routes.get("/engines")
    async def engines(actor: Engineer) -> list[dict[str, Any]]:
        """Registered engines with their health in the process that answers."""
        statuses = {status.id: status for status in compute.statuses()}
        return [engine_json(one, statuses.get(one.id)) for one in compute.engines()]

    @routes.post("/engines", status_code=201)
    async def add(body: EngineBody, actor: Engineer) -> dict[str, Any]:
        """Register an OpenAI-compatible engine, by default with all that it lists; `problem`: why it is silent."""
        new, trouble = await compute.looked_at(body.registration())
        made = engine_json(await compute.add_engine(new, actor=actor.ref), None)
        return {**made, "problem": trouble.message if trouble else ""}

    @routes.post("/engines/discover")
    async def found(body: DiscoverBody, actor: Engineer) -> dict[str, Any]:
        """What a server is and serves, before it is registered."""
        return asdict(await compute.discover(body.url, body.key_env))

    @routes.get("/engines/events")
    async def events(actor: Engineer) -> list[dict[str, Any]]:
        """What was done to engines, the newest first."""
        return await compute.events()

    @routes.get("/engines/{name}")
    async def one(name: str, actor: Engineer) -> dict[str, Any]:
        found = compute.engine(name)
        return engine_json(found, next((status for status in compute.statuses() if status.id == found.id), None))

    @routes.patch("/engines/{name}")
    async def change(name: str, body: ChangeBody, actor: Engineer) -> dict[str, Any]:
        """Change an upstream's timeouts, features, data classes, cost, slots or queue; calls in flight end as begun."""
        return engine_json(await compute.change_engine(name, body.change(), actor=actor.ref), None)

    @routes.post("/engines/{name}/test")
    async def test(name: str, actor: Engineer) -> list[dict[str, Any]]:
        """One tiny real call for each of its models."""
        return [report_json(report) for report in await compute.test_engine(name, actor=actor.ref)]

    @routes.post("/engines/{name}/enable")
    async def enable(name: str, body: ReasonBody, actor: Engineer) -> dict[str, Any]:
        return engine_json(await compute.set_enabled(name, True, actor=actor.ref, reason=body.reason), None)

    @routes.post("/engines/{name}/disable")
    async def disable(name: str, body: ReasonBody, actor: Engineer) -> dict[str, Any]:
        return engine_json(await compute.set_enabled(name, False, actor=actor.ref, reason=body.reason), None)

    @routes.delete("/engines/{name}", status_code=204)
    async def remove(name: str, actor: Engineer) -> None:
        await compute.remove_engine(name, actor=actor.ref)

    @routes.get("/health")
    async def health(actor: Engineer) -> list[dict[str, Any]]:
        """Probe all engines now."""
        await compute.check_health()
        return [status_json(status) for status in compute.statuses()]

    return routes


def _prices(compute: Compute) -> APIRouter:
    routes = APIRouter(prefix="/api/compute", tags=["compute"])

    @routes.get("/prices")
    async def history(model: str, actor: Pricer) -> list[dict[str, Any]]:
        """All published versions of a model's price, announced ones included."""
        return [prices_json(one) for one in compute.price_history(model)]

    @routes.get("/prices/preview")
    async def preview(model: str, on: date, actor: Pricer) -> dict[str, Any]:
        """What the pricing rule would say on a date."""
        computed = compute.preview_price(model, on)
        return {"rule_version": computed.rule_version, "buckets": list(computed.parts)}

    @routes.post("/prices", status_code=201)
    async def publish(body: PriceBody, actor: Pricer) -> dict[str, Any]:
        """Publish a price by the rule, from a date on; keys affected are told."""
        return prices_json(await compute.publish_price(body.model, body.valid_from, actor=actor.ref))

    @routes.get("/prices/{version}/trace")
    async def trace(version: UUID, actor: Pricer) -> dict[str, Any]:
        """Why a price is what it is, by bucket."""
        return await compute.price_traces(version)

    return routes


# -- JSON forms -------------------------------------------------------------------------------------------------------


def model_json(model: ModelInfo) -> dict[str, Any]:
    """A model in service."""
    return {**asdict(model), "features": sorted(model.features), "created": model.created}


def card_json(card: ModelCard, state: PullState) -> dict[str, Any]:
    """A card and how far its file is."""
    return {
        **asdict(card),
        "features": sorted(card.features),
        "sources": [source.kind for source in card.sources],
        "file_state": asdict(state),
    }


def engine_json(engine: Engine, status: EngineStatus | None) -> dict[str, Any]:
    """A registered engine; never its key."""
    return {
        **asdict(engine),
        "data_classes": sorted(engine.data_classes),
        "features": sorted(engine.features),
        "status": None if status is None else status_json(status),
    }


def status_json(status: EngineStatus) -> dict[str, Any]:
    """An engine's health in one process."""
    return asdict(status)


def report_json(report: TestReport) -> dict[str, Any]:
    """What a test call gave."""
    return asdict(report)


def prices_json(prices: Prices) -> dict[str, Any]:
    """One price version, µ per million tokens."""
    return {
        "model": prices.model,
        "version": prices.version,
        "valid_from": prices.valid_from,
        "announced_at": prices.announced_at,
        "rule_version": prices.rule_version,
        "thin": prices.thin,
        "loss": prices.loss,
        "list_micro": {bucket: getattr(prices, bucket) for bucket in BUCKETS},
        "facts": prices.facts,
        "outputs": prices.outputs,
    }
