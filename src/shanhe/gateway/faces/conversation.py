"""What the faces that speak to engines in a chat's words share about a conversation."""

from __future__ import annotations

from typing import Any


def begun_by_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with what `system` says in one message at its beginning: the templates of many models take it
    nowhere else, while clients add to it as a conversation goes on."""
    said = [message["content"] for message in messages if _is_said(message)]
    if not said:
        return messages
    others = [message for message in messages if not _is_said(message)]
    return [{"role": "system", "content": "\n\n".join(said)}, *others]


def _is_said(message: dict[str, Any]) -> bool:
    return message["role"] == "system" and isinstance(message["content"], str)
