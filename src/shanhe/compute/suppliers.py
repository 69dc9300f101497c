"""What suppliers do that other servers of their protocol don't, by their domain: no registration has to say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shanhe.compute.model import ADDRESSED, BOUND, EDITS, HIDDEN

KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "openai.com": frozenset({BOUND, HIDDEN, ADDRESSED, EDITS}),
    "openai.azure.com": frozenset({BOUND, HIDDEN, ADDRESSED, EDITS}),
    "azure.com": frozenset({BOUND, HIDDEN}),
    "x.ai": frozenset({HIDDEN, ADDRESSED}),
    "generativelanguage.googleapis.com": frozenset({HIDDEN, ADDRESSED}),
    "googleapis.com": frozenset({HIDDEN}),
    "anthropic.com": frozenset({ADDRESSED}),
    "openrouter.ai": frozenset({ADDRESSED}),
    "dashscope.aliyuncs.com": frozenset({ADDRESSED}),
    "ark.cn-beijing.volces.com": frozenset({ADDRESSED}),
    "bigmodel.cn": frozenset({ADDRESSED}),
    "moonshot.cn": frozenset({ADDRESSED}),
    "siliconflow.cn": frozenset({ADDRESSED}),
    "dashscope-intl.aliyuncs.com": frozenset({ADDRESSED}),
    "api.z.ai": frozenset({ADDRESSED}),
    "api.siliconflow.com": frozenset({ADDRESSED}),
    "api.mistral.ai": frozenset({ADDRESSED}),
    "api.groq.com": frozenset({ADDRESSED}),
    "api.stepfun.com": frozenset({ADDRESSED}),
    "api.hunyuan.cloud.tencent.com": frozenset({ADDRESSED}),
}
"""The first that fits. Where customers rent servers of their own below a supplier's domain, the domain alone says
nothing of who fetches what."""


def features_of(host: str) -> frozenset[str]:
    """Features of whoever is reached at `host`; none for one that is not known."""
    return next((found for name, found in KNOWN.items() if f".{host}".endswith(f".{name}")), frozenset())
