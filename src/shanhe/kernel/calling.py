"""How a process calls others over HTTP: what all its clients may share."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


@cache
def authorities() -> ssl.SSLContext:
    """Whom a client believes, for `verify`: the machine's own list, where a city puts its own authority, or the one
    that SSL_CERT_FILE names; those that come with Python's packages where the machine has none.

    To load a list takes 25 ms, in which an event loop serves nobody else, and httpx loads its own again for every
    client, even for one that never speaks TLS.
    """
    from certifi import where

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(where())
    return context


def over_socket(path: Path | str) -> httpx.AsyncHTTPTransport:
    """The way to a process of this machine that listens on a Unix socket; nothing there is TLS."""
    from httpx import AsyncHTTPTransport

    return AsyncHTTPTransport(uds=str(path), verify=False)
