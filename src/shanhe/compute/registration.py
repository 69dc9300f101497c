"""Checking an engine's registration before it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from shanhe.compute.address import ENGINE_NAME, MODEL_ID, UNIX, parse_url
from shanhe.compute.discovery import Discovery
from shanhe.compute.errors import BadEngine, NoModelsListed
from shanhe.compute.model import (
    BUCKETS,
    CONTEXT_TOKENS,
    GENERAL,
    LOCAL_CLASSES,
    THINKING,
    Engine,
    EngineKind,
    EngineModel,
    ModelCard,
    NewEngine,
    Rates,
)
from shanhe.compute.thinking import SERVERS
from shanhe.kernel.ids import new_id

MODELS_MAX: Final = 200
UPSTREAM_MAX_CHARS: Final = 200
COST_MAX_MICRO: Final = 10**12
"""A million credits per million tokens; anything above is a slip of the unit."""
LOCAL_QUEUE: Final = 256
LOCAL_FIRST_TOKEN_MS: Final = 300_000
"""A local engine on few cores may need minutes for a long prompt behind others."""
LOCAL_IDLE_MS: Final = 120_000
CONTEXT_MAX_TOKENS: Final = 100_000_000


def completed(new: NewEngine, found: Discovery | None) -> NewEngine:
    """A registration with what its server says of itself where it leaves something open: models, their context, and by
    which field it is told how much to think. NoModelsListed where there is none of its kind."""
    listed = () if found is None else found.models
    models = new.models or {one.id: one.id for one in listed if one.kind == new.kind}
    if not models:
        raise NoModelsListed(new.url, new.kind.value)
    contexts = [one.context_tokens for one in listed if one.context_tokens and one.id in models.values()]
    word = None if found is None or new.features & THINKING else SERVERS.get(found.flavour)
    return replace(
        new,
        models=models,
        context_tokens=new.context_tokens or min(contexts, default=CONTEXT_TOKENS),
        features=new.features | ({word} if word else frozenset()),
    )


def checked(new: NewEngine, cost: Rates, now: datetime) -> Engine:
    """The engine that a registration describes, at a cost; BadEngine names the part that is wrong."""
    if not ENGINE_NAME.match(new.name):
        raise _bad(
            "name",
            "A name has 1-63 of a-z, 0-9, dot, dash, underscore.",
            "名称须为 1–63 个小写字母、数字、点、横线或下划线。",
        )
    parse_url(new.url)
    _models(new)
    if not new.data_classes or not new.data_classes <= LOCAL_CLASSES:
        raise _bad("data_classes", f"Data classes are {', '.join(sorted(LOCAL_CLASSES))}.", "未知的数据类别。")
    if not new.local and new.data_classes != {GENERAL}:
        raise _bad(
            "data_classes",
            "Government and citizen data never leave local compute, and this engine is not marked local.",
            "政务与公民数据不得离开本地算力，而该引擎未标记为本地。",
        )
    if any(not 0 <= getattr(cost, bucket) <= COST_MAX_MICRO for bucket in BUCKETS):
        raise _bad(
            "cost",
            "A cost is 0 to 10^12 micro-credits per million tokens.",
            "成本须在每百万 token 0 至 10^12 微信用之间。",
        )
    if not 1 <= new.context_tokens <= CONTEXT_MAX_TOKENS:
        raise _bad("context_tokens", "The context has at least one token.", "上下文长度须为正数。")
    if not 1 <= new.slots <= 100_000 or not 0 <= new.queue <= 100_000:
        raise _bad("slots", "Slots are 1-100,000, the queue 0-100,000.", "并发槽 1–100000，队列 0–100000。")
    return _engine(new, cost, now)


def _models(new: NewEngine) -> None:
    if not 1 <= len(new.models) <= MODELS_MAX:
        raise _bad("models", f"An engine serves 1 to {MODELS_MAX} models.", f"一个引擎提供 1 至 {MODELS_MAX} 个模型。")
    for local, upstream in new.models.items():
        if not MODEL_ID.match(local):
            raise _bad(
                "models",
                f"{local!r} is not a model id: 1-120 letters, digits, . _ : / @ -.",
                f"{local!r} 不是合法的模型名。",
            )
        if not upstream or len(upstream) > UPSTREAM_MAX_CHARS or not upstream.isprintable():
            raise _bad(
                "models", f"{upstream!r} can't be an upstream's model name.", f"{upstream!r} 不是合法的上游模型名。"
            )


def _engine(new: NewEngine, cost: Rates, now: datetime) -> Engine:
    models = tuple(
        EngineModel(local, upstream, new.kind, new.context_tokens, cost, new.model_class)
        for local, upstream in sorted(new.models.items())
    )
    return Engine(
        id=new_id(),
        name=new.name,
        kind=EngineKind.OPENAI,
        url=new.url.rstrip("/"),
        key_env=new.key_env,
        contributor=new.contributor,
        local=new.local,
        data_classes=new.data_classes,
        features=new.features,
        enabled=True,
        lazy=False,
        slots=new.slots,
        queue=new.queue,
        first_token_timeout_ms=new.first_token_timeout_ms,
        idle_timeout_ms=new.idle_timeout_ms,
        created_at=now,
        models=models,
    )


def _bad(field: str, reason: str, reason_zh: str) -> BadEngine:
    return BadEngine(field, reason, reason_zh)


def made_engine(card: ModelCard, public: str, cost: Rates, now: datetime) -> Engine:
    """The engine of a model that was made here: its child has the card's name, callers know the public one."""
    if not MODEL_ID.match(public) or public == card.id:
        raise _bad("models", f"{public!r} can't be a model's public name.", f"{public!r} 不能作为模型名。")
    served = EngineModel(public, card.id, card.kind, card.context_tokens, cost, card.price_class)
    return replace(local_engine(card, cost, None, now), models=(served,), lazy=True)


def local_engine(known: ModelCard, cost: Rates, contributor: UUID | None, now: datetime) -> Engine:
    """The engine of a model that a child of this machine serves."""
    served = EngineModel(known.id, known.id, known.kind, known.context_tokens, cost, known.price_class)
    return Engine(
        id=new_id(),
        name=f"local-{known.id}"[:63].rstrip("-."),
        kind=EngineKind.LLAMA,
        url=f"{UNIX}{known.id}",
        key_env="",
        contributor=contributor,
        local=True,
        data_classes=LOCAL_CLASSES,
        features=known.features,
        enabled=True,
        lazy=known.lazy,
        slots=known.slots,
        queue=LOCAL_QUEUE,
        first_token_timeout_ms=LOCAL_FIRST_TOKEN_MS,
        idle_timeout_ms=LOCAL_IDLE_MS,
        created_at=now,
        models=(served,),
    )
