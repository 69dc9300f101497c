"""How a process calls others over HTTP: what all its clients may share."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


@cache
def authorities(*, trust_env: bool = True) -> ssl.SSLContext:
    """Whom a client believes, for `verify`: to load the list takes 25 ms, in which an event loop serves nobody else,
    and httpx loads it again for every client, even for one that never speaks TLS."""
    from httpx import create_ssl_context

    return create_ssl_context(trust_env=trust_env)


def over_socket(path: Path | str) -> httpx.AsyncHTTPTransport:
    """The way to a process of this machine that listens on a Unix socket; nothing there is TLS."""
    from httpx import AsyncHTTPTransport

    return AsyncHTTPTransport(uds=str(path), verify=False)
