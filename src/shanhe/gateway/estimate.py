"""How much a call could cost at most, known before it is dispatched: what admission reserves.

Input: every token of a byte-level vocabulary covers at least one byte, so the UTF-8 bytes of what the caller wrote
bound the text, and a fixed allowance per message covers the template. It is never larger than the model's context.
Output: `max_tokens` times the answers asked for. A reservation lives as long as its call; what is not used returns.
"""

from __future__ import annotations

from typing import Final

TEMPLATE_TOKENS: Final = 32
"""Beginning-of-text, default system prompt and generation prompt of a chat template."""
MESSAGE_TOKENS: Final = 16
"""Role markers and separators of one message."""
OUTPUT_TOKENS_DEFAULT: Final = 2048
"""`max_tokens` when the caller names none (never more than half the context)."""


def prompt_bound(text_bytes: int, messages: int, context_tokens: int) -> int:
    """Upper bound of the prompt in tokens."""
    return min(text_bytes + MESSAGE_TOKENS * messages + TEMPLATE_TOKENS, context_tokens)


def output_default(context_tokens: int) -> int:
    """`max_tokens` for a request that names none."""
    return max(1, min(OUTPUT_TOKENS_DEFAULT, context_tokens // 2))
