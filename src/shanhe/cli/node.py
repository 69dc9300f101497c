"""`shanhe node`: lend this machine to a city. Needs no database and opens no port."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from shanhe.cli.common import Json
from shanhe.kernel import logs

STATE = Path("~/.shanhe-node")

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Lend this machine to a city."""


@app.command()
def join(
    url: Annotated[str, typer.Argument(help="Address of the city, like https://ai.example.cn.")],
    token: Annotated[str, typer.Option(envvar="SHANHE_NODE_TOKEN", help="Token to join; only the first time.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="MODEL=URL[#UPSTREAM] of a server that runs here.")] = None,
    local: Annotated[list[str] | None, typer.Option(help="A model to fetch and run here with llama.cpp.")] = None,
    ray: Annotated[list[str] | None, typer.Option(help="A model to run on a Ray cluster, with Ray Serve.")] = None,
    ray_dashboard: Annotated[str, typer.Option(help="The cluster's dashboard, like http://head:8265.")] = "",
    ray_serve: Annotated[str, typer.Option(help="Where Ray Serve answers, like http://head:8000.")] = "",
    ray_token: Annotated[str, typer.Option(envvar="RAY_AUTH_TOKEN", help="Token of the cluster's dashboard.")] = "",
    ray_replicas: Annotated[int, typer.Option(min=1, max=1000, help="Replicas of each model on the cluster.")] = 1,
    slots: Annotated[int, typer.Option(help="Calls this machine works on at once.")] = 4,
    context_tokens: Annotated[int, typer.Option(help="Context of the models named with --model.")] = 8_192,
    price_class: Annotated[str, typer.Option("--class", help="tiny, small, medium or large.")] = "small",
    chip_class: Annotated[str, typer.Option(help="cpu, consumer_gpu, datacentre_gpu, npu; found by itself.")] = "",
    power_fen_kwh: Annotated[int, typer.Option(help="Price of power, fen a kWh.")] = 0,
    power_watts: Annotated[int, typer.Option(help="Power under load, watts.")] = 0,
    location: Annotated[str, typer.Option(help="Where the machine stands.")] = "",
    state: Annotated[Path, typer.Option(help="Folder of the node's key and membership.")] = STATE,
    threads: Annotated[int, typer.Option(help="Threads of a local model; 0 = by the machine.")] = 0,
    as_json: Json = False,
) -> None:
    """Join a city (the first time) and serve until stopped; SIGTERM finishes what runs. --json logs for programs."""
    from shanhe.pool.api import Cluster, Setup, serve

    logs.configure("info", as_json=as_json, worker="node")
    cluster = None
    if ray_dashboard and ray_serve:
        cluster = Cluster(ray_dashboard, ray_serve, replicas=ray_replicas, threads=threads, token=ray_token)
    setup = Setup(
        url=url, folder=state.expanduser().absolute(), token=token, models=tuple(model or ()),
        local=tuple(local or ()), slots=slots, context_tokens=context_tokens, price_class=price_class,
        chip_class=chip_class, power_fen_kwh=power_fen_kwh, power_watts=power_watts, location=location,
        threads=threads, ray=tuple(ray or ()), cluster=cluster,
    )  # fmt: skip
    if asyncio.run(serve(setup)):  # what is installed by now takes over, in this process
        os.execv(sys.executable, [sys.executable, "-m", "shanhe", *sys.argv[1:]])
