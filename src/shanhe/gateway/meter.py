"""From what an engine says it used to disjoint buckets that sum to the total, none of them negative.

An engine is not believed beyond what it could have done: no more input than the request's bytes, no more output than
was allowed and (unless it declares hidden reasoning) than the bytes it delivered; every token covers at least a byte.
"""

from __future__ import annotations

from typing import Final

import msgspec

BUCKETS: Final = ("input", "cached_input", "output", "reasoning", "tool", "cache_write")
SPECIAL_TOKENS_SLACK: Final = 8
"""End-of-turn and tool-call markers are counted by engines but not delivered as text."""


class Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    """What was written to a cache, in the words of OpenAI and OpenRouter, of LiteLLM, of DashScope."""


class Usage(msgspec.Struct):
    """The `usage` object of the OpenAI protocol, as an engine sends it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    seconds: float | None = None
    """Of audio, where that is what an engine counts."""
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    """What was cached of the prompt, in the words of DeepSeek and of Moonshot."""
    cache_creation_input_tokens: int | None = None
    """What was written to a cache, in the words of Anthropic and Bedrock, as proxies pass them on."""

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        told = details.cached_tokens if details is not None else None
        return told or self.prompt_cache_hit_tokens or self.cached_tokens or 0

    @property
    def written(self) -> int:
        """Of the prompt, what was written to a cache; like what was cached a part of `prompt_tokens`."""
        at = self.prompt_tokens_details or _NO_DETAILS
        told = at.cache_write_tokens or at.cache_creation_tokens or at.cache_creation_input_tokens
        return told or self.cache_creation_input_tokens or 0


_NO_DETAILS: Final = Details()


class Buckets(msgspec.Struct, frozen=True):
    """Disjoint token counts of one call."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    tool: int = 0
    cache_write: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cached_input + self.cache_write

    @property
    def completion(self) -> int:
        return self.output + self.reasoning + self.tool

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def as_tuple(self) -> tuple[int, int, int, int, int, int]:
        return (self.input, self.cached_input, self.output, self.reasoning, self.tool, self.cache_write)


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
    """Turn a usage object into buckets within `bounds`; None when it carries no usable count, or says of an answer that
    was delivered that nothing was read (older Ollama, of a prompt that it had cached) or written."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None and completion is None:
        return None
    if (prompt is not None and prompt < 0) or (completion is not None and completion < 0):
        return None
    if bounds.delivered and not (prompt and completion):
        return None
    thought = 0 if usage.completion_tokens_details is None else usage.completion_tokens_details.reasoning_tokens or 0
    claimed_prompt, claimed_completion = prompt or 0, completion or 0
    if thought > 0 and usage.total_tokens == claimed_prompt + claimed_completion + thought:
        claimed_completion += thought  # xAI counts what was thought beside the completion, not in it
    most = bounds.completion
    if bounds.delivered is not None:
        most = min(most, bounds.delivered + SPECIAL_TOKENS_SLACK)
    real_prompt, real_completion = min(claimed_prompt, bounds.prompt), min(claimed_completion, most)
    claimed_cached, claimed_written = usage.cached, usage.written
    cached = min(max(claimed_cached, 0), real_prompt)
    written = min(max(claimed_written, 0), real_prompt - cached)
    reasoning = min(max(thought, 0), real_completion)
    fresh = real_prompt - cached - written
    buckets = Buckets(fresh, cached, real_completion - reasoning, reasoning, cache_write=written)
    clamped = (real_prompt, real_completion, cached, reasoning, written) != (
        claimed_prompt, claimed_completion, claimed_cached, thought, claimed_written,
    )  # fmt: skip
    told = prompt is not None and completion is not None and usage.total_tokens == prompt + completion
    at = usage.prompt_tokens_details or _NO_DETAILS
    told = told and (at.cached_tokens or 0) == cached and (at.cache_write_tokens or 0) == written
    return Metered(buckets, "engine", clamped, verbatim=told and not clamped)
