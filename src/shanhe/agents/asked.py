"""What a caller says to an agent, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shanhe.agents.errors import BadRequest
from shanhe.agents.model import PURPOSE, Message

MESSAGES_MAX: Final = 100
ASKED_MAX_BYTES: Final = 256 * 1024
CONSULTATION: Final = "consultation"
"""What a clone is asked for where the asker does not say."""


def purpose_of(told: Any) -> str:
    """What an asker says that a clone is asked for; BadRequest for what can't be a purpose."""
    if told in (None, ""):
        return CONSULTATION
    if not isinstance(told, str) or not PURPOSE.fullmatch(told):
        raise BadRequest("A purpose is a word like consultation or teaching", "用途须为 consultation、teaching 等标识")
    return told


def checked(asked: Sequence[Message]) -> list[dict[str, Any]]:
    """What a caller may say to an agent: texts of user and assistant; a caller's system text is the user's."""
    if not 1 <= len(asked) <= MESSAGES_MAX:
        raise BadRequest(f"Send 1 to {MESSAGES_MAX} messages", f"消息条数须为 1–{MESSAGES_MAX}")
    found, size = [], 0
    for message in asked:
        role, content = message.get("role"), message.get("content")
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
            content = "".join(part for part in parts if isinstance(part, str)) if len(parts) == len(content) else None
        if role not in ("user", "assistant", "system", "developer") or not isinstance(content, str):
            raise BadRequest(
                "Agents take texts of the roles user and assistant", "智能体只接受 user 与 assistant 的文本"
            )
        size += len(content.encode())
        found.append({"role": "assistant" if role == "assistant" else "user", "content": content})
    if size > ASKED_MAX_BYTES:
        raise BadRequest(f"The messages are longer than {ASKED_MAX_BYTES} bytes", f"消息超过 {ASKED_MAX_BYTES} 字节")
    return found
