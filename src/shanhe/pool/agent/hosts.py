"""The engines of a node's machine: OpenAI-compatible servers that run already, and llama.cpp children of the agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import httpx
import msgspec

from shanhe.compute.api import DEFAULT_SOURCES, LlamaSupervisor, Speed, card, private_folder, socket_path
from shanhe.pool.measure import measure
from shanhe.pool.model import Offer, OfferKind

CONNECT_S: Final = 5.0
IDLE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where a model is served on this machine: a client, the base URL, and the name that the server knows it by."""

    client: httpx.AsyncClient
    base: str
    upstream: str


class Host(Protocol):
    """One model on this machine."""

    offer: Offer

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def load(self) -> None: ...

    async def unload(self) -> None: ...

    def door(self) -> Door | None:
        """None while it is not loaded."""
        ...


class UrlHost:
    """A server that somebody else runs: vLLM, SGLang, Ollama, Xinference, anything with `/v1/chat/completions`.

    Loading means that the node offers it: whether the server keeps it in memory is the server's business.
    """

    def __init__(self, offer: Offer, url: str, upstream: str = "", key: str = "") -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(IDLE_S, connect=CONNECT_S), trust_env=False, limits=limits
        )
        self._door = Door(self._client, url.rstrip("/"), upstream or offer.model)
        self.offer = offer

    async def start(self) -> None:
        """Measure it, so that the report carries a speed."""
        self.offer = await measured(self.offer, self._door)

    async def stop(self) -> None:
        self.offer = replaced(self.offer, loaded=False)
        await self._client.aclose()

    async def load(self) -> None:
        self.offer = replaced(self.offer, loaded=True)

    async def unload(self) -> None:
        self.offer = replaced(self.offer, loaded=False)

    def door(self) -> Door | None:
        return self._door if self.offer.loaded else None


class LlamaHost:
    """A model of ours in a llama.cpp child, loaded and unloaded as the city's placement asks."""

    def __init__(self, model: str, folder: Path, *, threads: int = 0) -> None:
        known = card(model)
        private_folder(socket_path(folder, model).parent)
        self._llama = LlamaSupervisor(folder, sources=DEFAULT_SOURCES, threads=threads)
        self._model = model
        transport = httpx.AsyncHTTPTransport(uds=str(socket_path(folder, model)))
        self._client = httpx.AsyncClient(
            transport=transport, timeout=httpx.Timeout(IDLE_S, connect=CONNECT_S), trust_env=False
        )
        self._door = Door(self._client, "http://engine/v1", model)
        self.offer = Offer(
            model,
            known.context_tokens,
            cast(OfferKind, known.kind.value),
            known.price_class,
            known.memory_mb,
            loaded=False,
            movable=True,
        )

    async def start(self) -> None:
        await self._llama.fetch(self._model)
        await self.load()

    async def stop(self) -> None:
        self.offer = replaced(self.offer, loaded=False)
        await self._client.aclose()
        await self._llama.stop()

    async def load(self) -> None:
        if not self.offer.loaded:
            await self._llama.start(self._model)
            self.offer = await measured(replaced(self.offer, loaded=True), self._door)

    async def unload(self) -> None:
        if self.offer.loaded:
            self.offer = replaced(self.offer, loaded=False)
            await self._llama.stop(self._model)

    def door(self) -> Door | None:
        return self._door if self.offer.loaded else None


def replaced(offer: Offer, *, loaded: bool) -> Offer:
    """The same offer, loaded or not."""
    return msgspec.structs.replace(offer, loaded=loaded)


async def measured(offer: Offer, door: Door) -> Offer:
    """The offer with its measured speed; unchanged where the engine is not a chat model or does not answer."""
    if offer.kind != "chat":
        return offer
    speed: Speed | None = await measure(door.client, door.base, door.upstream)
    if speed is None:
        return offer
    return msgspec.structs.replace(offer, prefill_tps=speed.prefill_tps, decode_tps=speed.decode_tps)
