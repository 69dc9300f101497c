"""What can go wrong with tools, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel.errors import Invalid, NotFound, ShanheError, TooMany


class UnknownServer(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_tool_server",
            f"There is no MCP server {name[:80]!r}.",
            message_zh=f"没有名为“{name[:80]}”的 MCP 服务。",
            hint="GET /api/store/listings?kind=mcp lists them.",
            hint_zh="GET /api/store/listings?kind=mcp 列出全部服务。",
        )


class UnknownTool(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_tool",
            f"There is no tool {name[:120]!r} here.",
            message_zh=f"此处没有工具“{name[:120]}”。",
            hint="tools/list shows what may be called.",
            hint_zh="tools/list 列出可用工具。",
        )


class NotOffered(NotFound):
    """The protocol knows it, this listing doesn't offer it."""

    def __init__(self, method: str) -> None:
        super().__init__(
            "not_offered",
            f"{method[:80]!r} is not offered by this server's listing.",
            message_zh=f"该服务的上架项未提供“{method[:80]}”。",
            hint="Its publisher names what goes through in `passes`.",
            hint_zh="发布方在 passes 中声明可转发的功能。",
        )


class BadServer(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_tool_server", f"The server is not usable: {en}.", message_zh=f"该服务不可用：{zh}。")


class BadSecret(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_tool_secret", f"The secret is not usable: {en}.", message_zh=f"该密钥不可用：{zh}。")


class ServerFailed(ShanheError):
    """The publisher's server did not answer, or not as the protocol wants it."""

    default_status = 502

    def __init__(self, server: str, why: str) -> None:
        super().__init__(
            "tool_server_failed",
            f"{server} failed: {why[:200]}. Nothing was charged.",
            message_zh=f"{server} 调用失败：{why[:200]}。未计费。",
            hint="Try again; if it goes on, tell the publisher.",
            hint_zh="请重试；若持续失败，请联系发布方。",
        )


class ServerLate(ShanheError):
    default_status = 504

    def __init__(self, server: str, limit_ms: int) -> None:
        super().__init__(
            "tool_timeout",
            f"{server} did not answer within {limit_ms} ms. Nothing was charged.",
            message_zh=f"{server} 未在 {limit_ms} 毫秒内返回。未计费。",
        )


class CallerLeft(ShanheError):
    """Whoever called has gone before the answer came: in the protocol's words, the call is cancelled."""

    default_status = 499

    def __init__(self, server: str) -> None:
        super().__init__(
            "cancelled", f"The call of {server} was cancelled. Nothing was charged.",
            message_zh=f"对 {server} 的调用已取消。未计费。",
        )  # fmt: skip


class AnswerTooLarge(ShanheError):
    default_status = 502

    def __init__(self, server: str, limit_bytes: int) -> None:
        super().__init__(
            "tool_answer_too_large",
            f"{server} answered with more than {limit_bytes} bytes; the answer was dropped. Nothing was charged.",
            message_zh=f"{server} 的返回超过 {limit_bytes} 字节，已丢弃。未计费。",
            hint="Ask for less, for instance a page at a time.",
            hint_zh="请缩小请求范围，例如分页获取。",
        )


class OverQuota(TooMany):
    def __init__(self, server: str, most: int) -> None:
        super().__init__(
            "tool_quota",
            f"{server} takes {most} calls a minute from one organisation.",
            message_zh=f"{server} 对每个机构每分钟最多 {most} 次调用。",
            retry_after_s=60,
        )
