"""Why an engine can't be asked, and what to do about it: the first thing that whoever registers one wants to know."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx

from shanhe.compute.errors import EngineFailed
from shanhe.kernel.errors import ShanheError


class Why(NamedTuple):
    """A reason and what to do, each in English and in Chinese."""

    en: str
    zh: str
    hint: str = ""
    hint_zh: str = ""


NO_NAME: Final = Why(
    "no machine of that name is known here",
    "找不到该主机名",
    "Check the spelling, and whether this machine resolves it (getent hosts NAME).",
    "请检查拼写，以及本机能否解析该名称（getent hosts NAME）。",
)
UNTRUSTED: Final = Why(
    "its certificate is not one that this machine trusts",
    "本机不信任其证书",
    "Add its authority to this machine's list, or start the city with SSL_CERT_FILE naming a PEM file that holds it"
    " (for an engine beside public ones: theirs too). Certificates are always checked.",
    "请把签发机构加入本机信任列表，或以 SSL_CERT_FILE 指定含该机构证书的 PEM 文件再启动"
    "（还要用公网引擎时须一并包含公网机构）。证书校验不能关闭。",
)
OTHER_NAME: Final = Why(
    "its certificate is for another name, or out of date",
    "其证书属于另一名称，或已过期",
    "Register the name that the certificate is for, or renew it.",
    "请以证书上的名称登记，或更新证书。",
)
NO_TLS: Final = Why(
    "it does not speak TLS there",
    "该端口不使用 TLS",
    "Write http:// instead of https://, or give the port that speaks TLS.",
    "请将 https:// 改为 http://，或使用支持 TLS 的端口。",
)
HUNG_UP: Final = Why(
    "it hung up without an answer",
    "对方未作答就断开连接",
    "Perhaps it speaks TLS there: write https:// instead of http://.",
    "该端口可能使用 TLS：请将 http:// 改为 https://。",
)
SILENT: Final = Why(
    "it did not answer in time",
    "未在时限内应答",
    "A firewall may be between, or the server is still loading its model: try again, or look from this machine.",
    "可能被防火墙拦截，或服务仍在加载模型：请稍后再试，或在本机上检查。",
)
NOBODY: Final = Why(
    "nobody listens there",
    "该地址无服务监听",
    "Start the server, check the port, and that it listens on more than its own machine (--host 0.0.0.0).",
    "请启动服务、检查端口，并确认它不只监听自己的本机地址（--host 0.0.0.0）。",
)
OF_A_NAME: Final = frozenset({10, 62, 64})
"""X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH."""


def why(error: BaseException) -> Why:
    """What a failed request to an engine means."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return NO_NAME
        if isinstance(cause, ssl.SSLCertVerificationError):
            return OTHER_NAME if cause.verify_code in OF_A_NAME else UNTRUSTED
        if isinstance(cause, ssl.SSLError):
            return NO_TLS
    if any(isinstance(cause, httpx.TimeoutException | TimeoutError) for cause in causes):
        return SILENT
    if isinstance(error, httpx.ConnectError):
        return NOBODY
    if isinstance(error, httpx.ReadError | httpx.RemoteProtocolError):
        return HUNG_UP
    if isinstance(error, ShanheError):
        return Why(error.message, error.message_zh, error.hint, error.hint_zh)
    told = str(error) or type(error).__name__
    return Why(told, told)


def no_success(status: int, said: str) -> Why:
    """An answer with a status that is no success, and what the engine said."""
    return Why(f"status {status}: {said}", f"状态 {status}：{said}")


def failed(status: int) -> Why:
    """A caller's request that an engine did not answer; `status` 0 = nothing came."""
    if not status:
        return Why("a request failed", "一次请求失败")
    return Why(f"a request failed (status {status})", f"一次请求失败（状态 {status}）")


def unreachable(url: str, error: httpx.HTTPError) -> EngineFailed:
    return EngineFailed(url, *why(error))


def unset(key_env: str) -> Why:
    """The variable that should hold a key does not, in this process."""
    return Why(
        f"the variable {key_env} is not set",
        f"变量 {key_env} 未设置",
        f"Set {key_env} to its key, for the city's own start and for this command; its value is never stored.",
        f"请将 {key_env} 设为其密钥：启动本市与运行此命令时都要设置；密钥值不会被保存。",
    )


def key_unset(url: str, key_env: str) -> EngineFailed:
    return EngineFailed(url, *unset(key_env))


def key_refused(url: str, status: int, key_env: str) -> EngineFailed:
    if not key_env:
        return EngineFailed(
            url, f"it wants a key (status {status})", f"需要密钥（状态 {status}）",
            "Put its key into a variable of its own and name that with --key-env (…_KEY or …_TOKEN).",
            "请将密钥放入专用环境变量，并以 --key-env 指定其名称（以 _KEY 或 _TOKEN 结尾）。",
        )  # fmt: skip
    return EngineFailed(
        url, f"it refuses the key in {key_env} (status {status})", f"拒绝了 {key_env} 中的密钥（状态 {status}）",
        "Check the key at the supplier: whole, not expired, allowed for this address and its models.",
        "请在供应商处核对密钥：是否完整、未过期，并允许用于该地址及其模型。",
    )  # fmt: skip


def no_list(url: str, path: str, status: int, better: str) -> EngineFailed:
    """Something answers there, but not with a list of models. `better`: where one was found; empty = nowhere."""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return EngineFailed(
            url, f"it sends elsewhere (status {status})", f"被重定向（状态 {status}）",
            "Redirects are not followed: give the address that it leads to.", "不跟随重定向：请直接填写最终地址。",
        )  # fmt: skip
    if better:
        hint, hint_zh = f"Models are listed under {better}: give that address.", f"模型列表在 {better}：请填写该地址。"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        hint, hint_zh = "Look into the server's own log.", "请查看该服务自身的日志。"
    else:
        hint = "Give what stands before /chat/completions; mostly that ends in /v1. A server that lists no models"
        hint += " needs them named: --model LOCAL=UPSTREAM."
        hint_zh = (
            "请填写 /chat/completions 之前的部分，多以 /v1 结尾；不列出模型的服务须用 --model LOCAL=UPSTREAM 指定。"
        )
    return EngineFailed(
        url, f"{path} is no list of models (status {status})", f"{path} 不是模型列表（状态 {status}）", hint, hint_zh
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, a few steps back."""
    found: BaseException | None = error
    for _ in range(8):
        if found is None:
            return
        yield found
        if isinstance(found, BaseExceptionGroup):
            yield from found.exceptions
        found = found.__cause__ or found.__context__
