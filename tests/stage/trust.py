"""One list of authorities for all HTTP clients of a pytest process.

To load it takes 25 ms of a CPU, and each client that a test makes, httpx's own and those within `openai`, `anthropic`
and `mcp`, would load it again.
"""

from __future__ import annotations

import ssl
from functools import cache
from importlib import import_module
from typing import Any

PACKAGES = ("httpx", "httpx2")


def shared(plain: Any) -> Any:
    """The same function, which answers alike where nothing particular was asked for."""

    @cache
    def usual(trust_env: bool) -> ssl.SSLContext:
        return plain(trust_env=trust_env)

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        return usual(trust_env) if verify is True and cert is None else plain(verify, cert, trust_env)

    return create


for package in PACKAGES:
    places: list[Any] = [import_module(f"{package}.{name}") for name in ("_config", "_transports.default")]
    create_ssl_context = shared(places[0].create_ssl_context)
    for place in places:
        place.create_ssl_context = create_ssl_context
