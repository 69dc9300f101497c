"""Checking an engine's registration before it is written."""

from __future__ import annotations

import re
from dataclasses import fields, replace
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
    IMAGE_CONTEXT_TOKENS,
    IMAGE_TOKENS,
    LOCAL_CLASSES,
    QUALITY,
    THINKING,
    Engine,
    EngineChange,
    EngineKind,
    EngineModel,
    ModelCard,
    NewEngine,
    Rates,
)
from shanhe.compute.thinking import SERVERS
from shanhe.kernel.ids import new_id

MODELS_MAX: Final = 200
FEATURE: Final = re.compile(r"[a-z0-9_]{1,32}\Z")
TIMEOUT_MIN_MS: Final = 100
TIMEOUT_MAX_MS: Final = 3_600_000
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
    usual = IMAGE_CONTEXT_TOKENS if new.model_class == IMAGE_TOKENS else CONTEXT_TOKENS
    word = None if found is None or new.features & THINKING else SERVERS.get(found.flavour)
    return replace(
        new,
        models=models,
        context_tokens=new.context_tokens or min(contexts, default=usual),
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
    if not 1 <= new.context_tokens <= CONTEXT_MAX_TOKENS:
        raise _bad("context_tokens", "The context has at least one token.", "上下文长度须为正数。")
    engine = _engine(new, cost, now)
    _terms(engine)
    return engine


def changed(engine: Engine, change: EngineChange) -> Engine:
    """A registered engine with what is to be otherwise; BadEngine names the part that is wrong.

    An engine of the city itself follows its model's card and a node what it offers, so neither is changed here.
    """
    if engine.kind is not EngineKind.OPENAI:
        raise _bad(
            "name",
            f"{engine.name} follows the card of its model or the offer of its node; only upstreams are changed.",
            f"{engine.name} 随模型卡或节点的申报而定；只能修改上游引擎。",
        )
    said = {part.name: getattr(change, part.name) for part in fields(change)}
    cost = said.pop("cost")
    after = replace(engine, **{name: value for name, value in said.items() if value is not None})
    if cost is not None:
        after = replace(after, models=tuple(replace(one, cost=cost) for one in engine.models))
    _terms(after)
    return after


def difference(before: Engine, after: Engine) -> str:
    """What changed, as `name: before → after`, for the record; empty where nothing did. Costs in µ per 10^6 tokens."""
    told = [(part.name, _plain(before, part.name), _plain(after, part.name)) for part in fields(EngineChange)]
    return "; ".join(f"{name}: {was} → {now}" for name, was, now in told if was != now)


def _plain(engine: Engine, name: str) -> str:
    if name == "cost":
        costs = {" ".join(str(getattr(one.cost, bucket)) for bucket in BUCKETS) for one in engine.models}
        return ", ".join(sorted(costs))
    value = getattr(engine, name)
    return " ".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def _terms(engine: Engine) -> None:
    """What may be changed later, too."""
    if not engine.data_classes or not engine.data_classes <= LOCAL_CLASSES:
        raise _bad("data_classes", f"Data classes are {', '.join(sorted(LOCAL_CLASSES))}.", "未知的数据类别。")
    if not engine.local and engine.data_classes != {GENERAL}:
        raise _bad(
            "data_classes",
            "Government and citizen data never leave local compute, and this engine is not marked local.",
            "政务与公民数据不得离开本地算力，而该引擎未标记为本地。",
        )
    if not all(0 <= getattr(one.cost, bucket) <= COST_MAX_MICRO for one in engine.models for bucket in BUCKETS):
        raise _bad(
            "cost",
            "A cost is 0 to 10^12 micro-credits per million tokens.",
            "成本须在每百万 token 0 至 10^12 微信用之间。",
        )
    if not 1 <= engine.slots <= 100_000 or not 0 <= engine.queue <= 100_000:
        raise _bad("slots", "Slots are 1-100,000, the queue 0-100,000.", "并发槽 1–100000，队列 0–100000。")
    if not all(map(FEATURE.match, engine.features)):
        raise _bad("features", "A feature is 1-32 of a-z, 0-9, underscore.", "功能名为 1–32 个小写字母、数字或下划线。")
    waits_ms = engine.first_token_timeout_ms, engine.idle_timeout_ms
    if not all(TIMEOUT_MIN_MS <= wait_ms <= TIMEOUT_MAX_MS for wait_ms in waits_ms):
        raise _bad("timeout", "A timeout is 0.1 s to an hour.", "超时须在 0.1 秒至 1 小时之间。")


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
        features=new.features | ({QUALITY} if new.model_class == IMAGE_TOKENS else set()),  # what it takes is paid for
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
