"""From what an engine says it used to disjoint buckets that sum to the total, none of them negative.

An engine is not believed beyond what it could have done: no more input than the request's bytes, no more output than
was allowed and (unless it declares hidden reasoning) than the bytes it delivered; every token covers at least a byte.
"""

from __future__ import annotations

from typing import Final

import msgspec

BUCKETS: Final = ("input", "cached_input", "output", "reasoning", "tool")
SPECIAL_TOKENS_SLACK: Final = 8
"""End-of-turn and tool-call markers are counted by engines but not delivered as text."""


class Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """The `usage` object of the OpenAI protocol, as an engine sends it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    seconds: float | None = None
    """Of audio, where that is what an engine counts."""


class Buckets(msgspec.Struct, frozen=True):
    """Disjoint token counts of one call."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    tool: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cached_input

    @property
    def completion(self) -> int:
        return self.output + self.reasoning + self.tool

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def as_tuple(self) -> tuple[int, int, int, int, int]:
        return (self.input, self.cached_input, self.output, self.reasoning, self.tool)


class Bounds(msgspec.Struct, frozen=True):
    """What the call could have used at most: tokens in, tokens out as allowed, tokens out as delivered."""

    prompt: int
    completion: int
    delivered: int | None = None


class Metered(msgspec.Struct, frozen=True):
    """The buckets charged, where the count came from, whether the engine's claim had to be cut, and whether its usage
    object says just what is charged, so that it can be passed on as it is."""

    buckets: Buckets
    source: str
    clamped: bool = False
    verbatim: bool = False


def believe(usage: Usage, bounds: Bounds) -> Metered | None:
    """Turn a usage object into buckets within `bounds`; None when it carries no usable count."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None and completion is None:
        return None
    if (prompt is not None and prompt < 0) or (completion is not None and completion < 0):
        return None
    claimed_prompt, claimed_completion = prompt or 0, completion or 0
    most = bounds.completion
    if bounds.delivered is not None:
        most = min(most, bounds.delivered + SPECIAL_TOKENS_SLACK)
    real_prompt, real_completion = min(claimed_prompt, bounds.prompt), min(claimed_completion, most)
    cached = reasoning = 0
    if usage.prompt_tokens_details is not None:
        cached = min(max(usage.prompt_tokens_details.cached_tokens or 0, 0), real_prompt)
    if usage.completion_tokens_details is not None:
        reasoning = min(max(usage.completion_tokens_details.reasoning_tokens or 0, 0), real_completion)
    buckets = Buckets(real_prompt - cached, cached, real_completion - reasoning, reasoning)
    clamped = (real_prompt, real_completion) != (claimed_prompt, claimed_completion)
    told = prompt is not None and completion is not None and usage.total_tokens == prompt + completion
    return Metered(buckets, "engine", clamped, verbatim=told and not clamped)
