"""What the faces that speak to engines in a chat's words share about a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shanhe.gateway.faces.openai import IMAGE_TOKENS

_encode = msgspec.json.Encoder().encode


def begun_by_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with what `system` says in one message at its beginning: the templates of many models take it
    nowhere else, while clients add to it as a conversation goes on."""
    said = [message["content"] for message in messages if _is_said(message)]
    if not said:
        return messages
    others = [message for message in messages if not _is_said(message)]
    return [{"role": "system", "content": "\n\n".join(said)}, *others]


def size_of(fields: Mapping[str, Any]) -> int:
    """Bytes of what a chat call says: every token covers one at least. A picture counts as what encoders make of it,
    however long the text is in which it is sent."""
    pictures = [
        part["image_url"]["url"]
        for message in fields["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else ())
        if part["type"] == "image_url"
    ]
    whole = len(_encode(fields)) - sum(len(_encode(url)) for url in pictures)
    return whole + IMAGE_TOKENS * len(pictures)


def _is_said(message: dict[str, Any]) -> bool:
    return message["role"] == "system" and isinstance(message["content"], str)
