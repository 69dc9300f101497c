"""Requests to a payment institution: bounded in time and number, each attempt signed anew, none in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import structlog

from shanhe.kernel.calling import authorities
from shanhe.payments.errors import ProviderUnavailable

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 15.0
ATTEMPTS_MAX = 3
RETRY_WAITS_S = (0.2, 1.0)
ANSWER_LIMIT_BYTES = 1_000_000
BUSY = frozenset({429, 500, 502, 503, 504})

log = structlog.get_logger(__name__)
Signed = Callable[[], httpx.Request]


class Wire:
    """A line to one institution. Every call of the protocol is idempotent by our own id, so all may be repeated."""

    def __init__(self, name: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._name = name
        self._transport = transport

    async def ask(self, make: Signed) -> httpx.Response:
        """The answer to what `make` signs; ProviderUnavailable when none came or the institution is busy."""
        limits = httpx.Timeout(ANSWER_LIMIT_S, connect=CONNECT_LIMIT_S)
        async with httpx.AsyncClient(
            timeout=limits, transport=self._transport, verify=authorities(), follow_redirects=False
        ) as client:
            for attempt in range(ATTEMPTS_MAX):
                request = await asyncio.to_thread(make)  # RSA takes milliseconds: not on the event loop
                try:
                    answer = await client.send(request)
                except httpx.HTTPError as error:
                    log.warning("institution did not answer", provider=self._name, error=type(error).__name__)
                else:
                    if len(answer.content) > ANSWER_LIMIT_BYTES:
                        break
                    if answer.status_code not in BUSY:
                        return answer
                    log.warning("institution is busy", provider=self._name, status=answer.status_code)
                if attempt < len(RETRY_WAITS_S):
                    await asyncio.sleep(RETRY_WAITS_S[attempt])
        raise ProviderUnavailable(self._name)
