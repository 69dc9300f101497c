"""How much a model is to think before it answers: what callers write, and what engines are told.

Off is one wish with many spellings. Whoever writes any of them gets it from every engine that can do it; a model that
knows no off (gpt-oss, DeepSeek-R1) thinks all the same, and what it thought is shown and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shanhe.compute.api import EFFORT, SWITCH, TEMPLATE, TYPE, EngineKind

if TYPE_CHECKING:
    from shanhe.compute.api import Target

OFF: Final = "none"
ON: Final = "on"
"""To think, without a word on how much; no spelling of any protocol."""
NEXT_TO_NONE: Final = frozenset({OFF, "minimal"})
"""What is off for an engine that knows on and off alone."""
TYPES: Final[Mapping[str | None, str | None]] = {"disabled": OFF, "enabled": ON}
"""Values of `thinking.type`; the others (`adaptive`, `auto`) leave it to the model."""


class Reasoning(msgspec.Struct):
    """As OpenRouter and the Responses protocol have it."""

    effort: str | None = None
    enabled: bool | None = None


class Thinking(msgspec.Struct):
    """As Anthropic, DeepSeek, Zhipu, Moonshot and Volcengine have it."""

    type: str | None = None


class TemplateWords(msgspec.Struct):
    """What is read of the words for a template; no other reaches one, see `docs/parameters.md`."""

    enable_thinking: bool | None = None
    thinking: bool | None = None


class Wish(msgspec.Struct):
    """The spellings that a chat call may use."""

    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | bool | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    chat_template_kwargs: TemplateWords | None = None


def effort_of(wish: Wish) -> str | None:
    """`OFF` where any spelling says so; else the first degree, or `ON`; None = nothing was said."""
    reasoning, words = wish.reasoning or Reasoning(), wish.chat_template_kwargs or TemplateWords()
    thinking = wish.thinking
    switches = (
        thinking if isinstance(thinking, bool) else None,
        reasoning.enabled,
        wish.enable_thinking,
        words.enable_thinking,
        words.thinking,
    )
    kind = TYPES.get(thinking.type) if isinstance(thinking, Thinking) else None
    said = [wish.reasoning_effort, reasoning.effort, kind, *(ON if switch else OFF for switch in switches
                                                             if switch is not None)]  # fmt: skip
    if OFF in said or wish.thinking_budget == 0:
        return OFF
    return next((effort for effort in said if effort), None)


def told(effort: str | None, target: Target, *, unseen: bool = False) -> dict[str, Any]:
    """The fields that tell an engine. `unseen`: the protocol shows no thoughts unless they were asked for, so none are
    to be made and paid for; said to templates alone, which take a word that they do not know."""
    fields: dict[str, Any] = {}
    off = effort in NEXT_TO_NONE
    degree = None if effort in {None, ON} else effort
    if TEMPLATE in target.thinks:
        if off or unseen:
            fields[TEMPLATE] = {"enable_thinking": False, "thinking": False}
        elif effort is not None and target.kind != EngineKind.LLAMA:  # thinks unless told, and refuses begun answers
            fields[TEMPLATE] = {"enable_thinking": True, "thinking": True}
    if effort is None:
        return fields
    if SWITCH in target.thinks:
        fields[SWITCH] = not off
    if TYPE in target.thinks:
        fields[TYPE] = {"type": "disabled" if off else "enabled"}
    if degree is not None and (EFFORT in target.thinks or not off):
        fields[EFFORT] = degree
    return fields
