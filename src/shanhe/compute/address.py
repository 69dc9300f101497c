"""Where engines listen: the one place that takes an engine's address apart.

Only operators register engines, and loopback and private addresses are allowed on purpose, because local engines live
there. What is refused: other schemes, user names in the address, link-local addresses (cloud metadata services live
there), and signs that could end a request line early. Redirects are never followed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shanhe.compute.errors import BadEngine

PATH_MAX_BYTES: Final = 100
"""Longest path of a UNIX socket that every system takes (Linux: 107, macOS: 103)."""
URL_MAX_CHARS: Final = 500
MODEL_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,119}$")
ENGINE_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """A UNIX socket, or host and port; `prefix` goes before `/chat/completions`."""

    uds_path: str | None
    host: str
    port: int
    tls: bool
    prefix: str
    host_header: str


def parse_url(url: str) -> Address:
    """Take an OpenAI-compatible base URL apart. Without a path it means `/v1`; a path is kept as it is."""
    if len(url) > URL_MAX_CHARS or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise _bad("it is too long or holds signs that an address may not hold", "过长或含有非法字符")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _bad(f"it can't be read ({error})", "无法解析") from error
    if parts.scheme not in ("http", "https"):
        raise _bad("it must start with http:// or https://", "必须以 http:// 或 https:// 开头")
    if not parts.hostname:
        raise _bad("it names no host", "缺少主机名")
    if parts.username is not None or parts.password is not None:
        raise _bad(
            "it carries a user name; keys come from the variable that --key-env names",
            "不得包含用户名，密钥请用 --key-env",
        )
    if parts.query or parts.fragment:
        raise _bad("it has a query or a fragment", "不得包含查询串或片段")
    _refuse_link_local(parts.hostname)
    tls = parts.scheme == "https"
    shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    standard = 443 if tls else 80
    return Address(
        None,
        parts.hostname,
        port or standard,
        tls,
        parts.path.rstrip("/") or "/v1",
        shown if port in (None, standard) else f"{shown}:{port}",
    )


def unix_address(path: Path) -> Address:
    """The address of a local child."""
    return Address(str(path), "", 0, False, "/v1", "engine")


def run_folder(data: Path) -> Path:
    """Where a city's sockets lie: `DATA/run`, or a short folder of the same user where that path is too long.

    The same answer in every process of the city; creates nothing.
    """
    wanted = data.resolve() / "run"
    if len(os.fsencode(wanted)) + 1 + 40 <= PATH_MAX_BYTES:
        return wanted
    mark = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"shanhe-{os.getuid()}-{mark}"


def socket_path(data: Path, model: str) -> Path:
    """The socket of a local model, the same for supervisor and workers."""
    name = re.sub(r"[^a-z0-9.-]", "-", model.lower())
    if len(name) > 34:
        name = f"{name[:20]}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    return run_folder(data) / f"{name}.sock"


def private_folder(folder: Path) -> Path:
    """Create a folder that only this user may enter, or check that an existing one is; PermissionError otherwise."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def _refuse_link_local(host: str) -> None:
    address = _number(host)
    if address is None:
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise _bad(
            "link-local, multicast and unspecified addresses are not engines", "不允许链路本地、组播或未指定地址"
        )


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is a number, in any form a resolver takes (2852039166, 0xa9.0xfe.0xa9.0xfe); None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _bad(reason: str, reason_zh: str) -> BadEngine:
    return BadEngine(
        "url",
        f"The engine's address is not usable: {reason}.",
        f"引擎地址不可用：{reason_zh}。",
        hint="Give the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1.",
        hint_zh="请填写 OpenAI 兼容服务的基地址，例如 http://127.0.0.1:8000/v1。",
    )
