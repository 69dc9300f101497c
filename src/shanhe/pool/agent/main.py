"""`shanhe node join`: from a token to a working node."""

from __future__ import annotations

import asyncio
import platform
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import structlog

from shanhe import __version__
from shanhe.kernel.errors import Invalid, ShanheError, Unavailable
from shanhe.pool import passport
from shanhe.pool.agent import chips
from shanhe.pool.agent.hosts import Host, LlamaHost, UrlHost
from shanhe.pool.agent.link import Link, Membership, remember, remembered
from shanhe.pool.agent.ray_host import Cluster, RayHost
from shanhe.pool.model import Offer, Report

JOIN_LIMIT_S: Final = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the owner of a machine decides."""

    url: str
    folder: Path
    token: str = ""
    models: Sequence[str] = ()
    """MODEL=URL or MODEL=URL#UPSTREAM: servers that run already."""
    local: Sequence[str] = ()
    """Models of our own cards, in llama.cpp children of the agent."""
    ray: Sequence[str] = ()
    """Models of our own cards, as applications of a Ray cluster."""
    cluster: Cluster | None = None
    slots: int = 4
    context_tokens: int = 8_192
    price_class: str = "small"
    chip_class: str = ""
    power_fen_kwh: int = 0
    power_watts: int = 0
    location: str = ""
    threads: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    """Keys of those servers by model."""


def hosts_of(setup: Setup) -> list[Host]:
    """The engines that a setup names; Invalid for what can't be read."""
    found: list[Host] = []
    for word in setup.models:
        model, separator, address = word.partition("=")
        url, _, upstream = address.partition("#")
        if not separator or not url.startswith(("http://", "https://")):
            raise Invalid(
                "bad_node_model", f"{word!r} is not MODEL=URL.", message_zh=f"{word!r} 不是 MODEL=URL 形式。",
                hint="Write it like --model qwen=http://127.0.0.1:8000/v1#Qwen3-8B.",
            )  # fmt: skip
        offer = Offer(model, setup.context_tokens, "chat", setup.price_class, movable=True)
        found.append(UrlHost(offer, url, upstream, setup.keys.get(model, "")))
    found += [LlamaHost(model, setup.folder, threads=setup.threads) for model in setup.local]
    found += [RayHost(model, _cluster(setup)) for model in setup.ray]
    if not found:
        raise Invalid(
            "no_node_models", "The node would serve nothing.", message_zh="节点没有可提供的模型。",
            hint="Name a server with --model MODEL=URL, or a model to run here with --local MODEL.",
            hint_zh="用 --model MODEL=URL 指定服务，或用 --local MODEL 在本机运行模型。",
        )  # fmt: skip
    return found


def _cluster(setup: Setup) -> Cluster:
    if setup.cluster is None:
        raise Invalid(
            "no_ray_cluster", "A model is to run on Ray, and no cluster was named.",
            message_zh="要在 Ray 上运行模型，但未指定集群。",
            hint="Add --ray-dashboard http://head:8265 and --ray-serve http://head:8000.",
            hint_zh="请加上 --ray-dashboard http://head:8265 与 --ray-serve http://head:8000。",
        )  # fmt: skip
    return setup.cluster


def report_of(setup: Setup, hosts: Sequence[Host]) -> Report:
    """What this machine is and offers."""
    found = chips.found()
    return Report(
        version=__version__,
        platform=f"{platform.system()} {platform.machine()}"[:100],
        chips=tuple(found),
        chip_class=setup.chip_class or chips.chip_class(found),
        memory_mb=chips.memory_mb(),
        slots=setup.slots,
        power_fen_kwh=setup.power_fen_kwh,
        power_watts=setup.power_watts,
        location=setup.location,
        offers=tuple(host.offer for host in hosts),
    )


async def joined(setup: Setup, public_key: bytes, report: Report) -> Membership:
    """The membership of the folder, or a new one for the token."""
    known = remembered(setup.folder)
    if known is not None and not setup.token:
        return known
    if not setup.token:
        raise Invalid(
            "no_join_token", "This machine has not joined yet and there is no token.",
            message_zh="本机尚未加入，且未提供令牌。", hint="Ask the city's operator for one: `shanhe nodes token`.",
            hint_zh="请向运营方索取：`shanhe nodes token`。",
        )  # fmt: skip
    body = {"token": setup.token, "public_key": public_key.hex(), "report": msgspec.to_builtins(report)}
    try:
        async with httpx.AsyncClient(timeout=JOIN_LIMIT_S, trust_env=False) as client:
            answer = await client.post(f"{setup.url.rstrip('/')}/api/pool/join", json=body)
    except httpx.HTTPError as error:
        raise Unavailable(
            "city_away", f"The city can't be reached: {error}", message_zh=f"无法连接城市：{error}",
            hint="Check the address and that this machine may connect outwards.",
        ) from error  # fmt: skip
    if answer.status_code != 200:
        raise _refused(answer)
    found = answer.json()
    membership = Membership(setup.url, found["city"], found["node_id"], found["name"])
    remember(setup.folder, membership)
    return membership


def _refused(answer: httpx.Response) -> ShanheError:
    try:
        error: dict[str, Any] = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {}
    text = str(error.get("message") or f"status {answer.status_code}")
    return ShanheError(
        str(error.get("code") or "join_refused"), text, status=answer.status_code, hint=str(error.get("hint") or "")
    )


async def serve(setup: Setup) -> bool:
    """Join if need be, start the engines, stay connected until SIGTERM; True where the city asks for a restart."""
    key = passport.load_key(setup.folder)
    hosts = hosts_of(setup)
    started: list[Host] = []
    try:
        for host in hosts:
            await host.start()
            started.append(host)
        report = report_of(setup, hosts)
        membership = await joined(setup, key.public_key().public_bytes_raw(), report)
        link = Link(membership, key, hosts, report)
        await _until_told(link)
        return link.again
    finally:
        for host in reversed(started):
            await host.stop()


async def _until_told(link: Link) -> None:
    running = asyncio.create_task(link.run())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await link.leave()
        await running
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.gather(stopping, running, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
