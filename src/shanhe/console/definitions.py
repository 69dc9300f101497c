"""Definitions of agents and workflows as files: out to a browser, and in again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.responses import Response

from shanhe.kernel.errors import Invalid
from shanhe.kernel.texts import decoded


def definition_file(content: Any, name: str) -> Response:
    """A definition as a file that the browser saves."""
    data = json.dumps(content, ensure_ascii=False, indent=2, default=str)
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data.encode(), media_type="application/json", headers=headers)


def object_in(text: str | bytes) -> dict[str, Any]:
    """The JSON object that a field or a file holds, which may be in GBK, too; Invalid."""
    said = (decoded(text) or ("", ""))[0] if isinstance(text, bytes) else text
    try:
        return msgspec.json.decode(said, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid("bad_json", f"{said[:40]!r} is no JSON object.",
                      message_zh=f"“{said[:40]}”不是 JSON 对象。") from error  # fmt: skip
