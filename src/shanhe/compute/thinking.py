"""By which fields of a chat call an engine is told how much to think: every maker of engines and models has its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shanhe.compute.model import EFFORT, SWITCH, TEMPLATE, THINKING, TYPE, Engine, EngineKind

SERVERS: Final[Mapping[str, str]] = {
    "vllm": TEMPLATE, "sglang": TEMPLATE, "xinference": TEMPLATE, "llama.cpp": TEMPLATE, "ollama": EFFORT,
}  # fmt: skip
"""Servers, as `discovery` knows them apart: most of them hand words on to the template of the model."""
SUPPLIERS: Final[Mapping[str, str]] = {
    "aliyuncs.com": SWITCH, "siliconflow.cn": SWITCH, "siliconflow.com": SWITCH,
    "deepseek.com": TYPE, "bigmodel.cn": TYPE, "z.ai": TYPE, "moonshot.cn": TYPE, "volces.com": TYPE,
    "nvidia.com": TEMPLATE,
}  # fmt: skip
"""Suppliers by their domain, as their references of November 2026 have it."""


def known_of(engine: Engine, host: str) -> frozenset[str]:
    """What its registration says; else what its kind or its supplier is known for; else nothing."""
    if said := engine.features & THINKING:
        return said
    if engine.kind is not EngineKind.OPENAI:
        return frozenset({TEMPLATE})
    return frozenset(word for name, word in SUPPLIERS.items() if f".{host}".endswith(f".{name}"))


def thinking_of(engine: Engine, host: str) -> frozenset[str]:
    """By which fields it is told; OpenAI's own where nothing is known of it."""
    return known_of(engine, host) or frozenset({EFFORT})
