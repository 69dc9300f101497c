"""A model on a Ray cluster: the port of `hosts.Host`, spoken to over the HTTP of Ray Serve. Imports nothing of Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import httpx

from shanhe.compute.api import card
from shanhe.kernel.errors import Unavailable
from shanhe.pool.agent.hosts import CONNECT_S, IDLE_S, Door, measured, replaced
from shanhe.pool.model import Offer, OfferKind

APPLICATION: Final = "shanhe.pool.agent.ray_app:build"
PREFIX: Final = "shanhe-"
CALL_LIMIT_S: Final = 30.0
DEPLOY_LIMIT_S: Final = 600.0
"""Longest wait for a model to serve; its file may have to be fetched first."""
POLL_S: Final = 0.5
TEXT_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Ray is, and what a replica gets there. `dashboard` like http://head:8265, `serve` like http://head:8000."""

    dashboard: str
    serve: str
    replicas: int = 1
    slots: int = 8
    """Calls that a replica works on at once."""
    cpus: float = 1.0
    threads: int = 0
    token: str = ""
    """Ray's own, for its dashboard."""
    cache: str = ""
    """Where the cluster's machines keep models; empty = their users' own folder."""


class RayHost:
    """One model of our cards as an application of Ray Serve; other applications of the cluster are left alone."""

    def __init__(self, model: str, cluster: Cluster) -> None:
        known = card(model)
        self._cluster = cluster
        self._name = PREFIX + model
        self._api = httpx.AsyncClient(
            base_url=cluster.dashboard.rstrip("/"), timeout=CALL_LIMIT_S, trust_env=False,
            headers={"authorization": f"Bearer {cluster.token}"} if cluster.token else {},
        )  # fmt: skip
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(IDLE_S, connect=CONNECT_S), trust_env=False, limits=limits
        )
        self._door = Door(self._client, f"{cluster.serve.rstrip('/')}/{self._name}/v1", model)
        self.offer = Offer(
            model, known.context_tokens, cast(OfferKind, known.kind.value), known.price_class, known.memory_mb,
            loaded=False, movable=True,
        )  # fmt: skip

    async def start(self) -> None:
        await self.load()

    async def stop(self) -> None:
        try:
            await self.unload()
        finally:
            await self._client.aclose()
            await self._api.aclose()

    async def load(self) -> None:
        if not self.offer.loaded:
            await self._declare(present=True)
            await self._until("RUNNING")
            self.offer = await measured(replaced(self.offer, loaded=True), self._door)

    async def unload(self) -> None:
        if self.offer.loaded:
            self.offer = replaced(self.offer, loaded=False)
            await self._declare(present=False)
            await self._until(None)

    def door(self) -> Door | None:
        return self._door if self.offer.loaded else None

    async def _declare(self, *, present: bool) -> None:
        """Ray Serve takes its whole list of applications: send the others as they are."""
        applications = (await self._applications()).values()
        wanted = [one["deployed_app_config"] for one in applications if one.get("deployed_app_config")]
        wanted = [one for one in wanted if one.get("name") != self._name]
        if present:
            wanted.append(self._application())
        answer = await self._asked("PUT", {"applications": wanted})
        if answer.status_code >= 300:
            raise _away(f"status {answer.status_code}: {answer.text}")

    def _application(self) -> dict[str, Any]:
        cluster = self._cluster
        args = {"model": self.offer.model, "replicas": cluster.replicas, "threads": cluster.threads,
                "cpus": cluster.cpus, "slots": cluster.slots, "cache": cluster.cache}  # fmt: skip
        return {"name": self._name, "route_prefix": f"/{self._name}", "import_path": APPLICATION, "args": args}

    async def _until(self, wanted: str | None) -> None:
        """Until the application is in a state; None = gone."""
        try:
            async with asyncio.timeout(DEPLOY_LIMIT_S):
                while True:
                    found = (await self._applications()).get(self._name)
                    state = None if found is None else found.get("status")
                    if state == wanted:
                        return
                    if wanted is not None and state == "DEPLOY_FAILED":
                        raise _away(str(found and found.get("message")))
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise _away(f"{self._name} was not {wanted or 'gone'} within {DEPLOY_LIMIT_S:.0f} s") from error

    async def _applications(self) -> Mapping[str, Any]:
        found = (await self._asked("GET", None)).json().get("applications")
        return found if isinstance(found, dict) else {}

    async def _asked(self, method: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return await self._api.request(method, "/api/serve/applications/", json=body)
        except httpx.HTTPError as error:
            raise _away(str(error) or type(error).__name__) from error


def _away(reason: str) -> Unavailable:
    return Unavailable(
        "ray_unavailable", f"The Ray cluster does not do it: {reason[:TEXT_MAX]}",
        message_zh=f"Ray 集群未能完成：{reason[:TEXT_MAX]}",
        hint="Look at the cluster's dashboard; its machines need shanhe[ray].",
        hint_zh="请查看集群面板；集群各机须已安装 shanhe[ray]。",
    )  # fmt: skip
