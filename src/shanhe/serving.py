"""The server: uvicorn, with the gateway's protocol on the socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn

from shanhe.gateway.api import GatewayApp, protocol_for
from shanhe.kernel.process import BACKLOG

KEEP_ALIVE_S = 65
TUNNEL_MESSAGE_MAX_BYTES = 1024 * 1024
"""Largest message of a node's tunnel; the market's stream, the other WebSocket, reads nothing."""
GRACE_S = 15


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us, so that what it serves can be closed in order afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build(app: Any, gateway: GatewayApp, *, trusted_proxies: str = "") -> Server:
    """A server for `app` whose `/v1/` requests go straight to `gateway`: no access log, no server banner."""
    config = uvicorn.Config(
        app,
        http=protocol_for(gateway),
        ws="websockets-sansio",
        ws_max_size=TUNNEL_MESSAGE_MAX_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # nodes say something every few seconds; the pool ends silent tunnels itself
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies or None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
    return Server(config)
