"""Values that a schema asks for, and values that nobody should send."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

TEXTS: Final = (
    "", "\0", "a\0b", "\ud800", "x" * 7_000, "\u202e\u200b", "-1", "NaN", "1e309", "9223372036854775808", "1" * 5_000,
    "2026-02-30", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
    "../../etc/passwd", "'; DROP TABLE x;--", "{{7*7}}${7*7}", "<script>alert(1)</script>", "a\r\nset-cookie: x=1", "²",
    "１２", "1_0", "+5",
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**31,
    2**63,
    10**30,
    -(2**63) - 1,
    1.5,
    1e308,
    [],
    {},
    [None],
    {"a": None},
)
BODIES: Final = (
    b"", b"null", b"[]", b'"x"', b"{", b'{"a":NaN}', b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 50_000 + b"]" * 50_000,
    b'{"x":1e309}', b'{"x":' + b"9" * 5_000 + b"}", b'{"\\u0000":1}', b'{"\\ud800":"\\ud800"}',
)  # fmt: skip
FEW: Final = ("\0", "\ud800", "9999-12-31", "9223372036854775808")


class Samples:
    """Plausible values by an OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._named = document.get("components", {}).get("schemas", {})

    def body(self, method: str, path: str) -> dict[str, Any]:
        """What a route of the API takes, for a client's request; nothing for the others."""
        operation = self._paths.get(path, {}).get(method.lower(), {})
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return {} if schema is None else {"json": self.of(schema)}

    def of(self, schema: dict[str, Any], depth: int = 0) -> Any:
        while "$ref" in schema:
            schema = self._named[schema["$ref"].rpartition("/")[2]]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self.of(next((one for one in schema[choice] if one.get("type") != "null"), {}), depth)
        if "const" in schema or "enum" in schema:
            return schema.get("const", next(iter(schema.get("enum", ())), None))
        return self._plain(schema, depth)

    def _plain(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return {name: self.of(one, depth + 1) for name, one in schema.get("properties", {}).items() if depth < 4}
        if kind == "array":
            return [self.of(schema.get("items", {}), depth + 1)]
        if kind in ("integer", "number"):
            return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        if kind == "boolean":
            return True
        known = {"uuid": str(UUID(int=7)), "date": "2026-12-01", "date-time": "2026-12-01T10:00:00+08:00"}
        text = known.get(schema.get("format", ""), "thing-1")
        return text.ljust(schema.get("minLength", 0), "0")[: schema.get("maxLength", 100)]


def spoiled(body: Any, values: tuple[Any, ...]) -> Iterator[bytes]:
    """A JSON body with one of its values replaced, each in turn."""
    for place in _places(body):
        for value in values:
            changed = copy.deepcopy(body)
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = value
            yield json.dumps(changed).encode()


def _places(body: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = list(body) if isinstance(body, dict) else [0] if isinstance(body, list) and body else []
    for step in steps:
        yield (*before, step)
        yield from _places(body[step], (*before, step))
