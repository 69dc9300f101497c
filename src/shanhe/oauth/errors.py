"""What can go wrong between an app and the city, in the words of RFC 6749 and RFC 8707."""

from __future__ import annotations

from shanhe.kernel.errors import Invalid, NotFound


class OAuthError(Invalid):
    """An error that an app reads by its code."""

    def __init__(self, code: str, en: str, zh: str, status: int = 400) -> None:
        super().__init__(code, en, message_zh=zh, status=status)


class UnknownRequest(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_request",
            "This request to connect an app does not exist, was answered, or is too old.",
            message_zh="该应用连接请求不存在、已处理或已过期。",
            hint="Start again from the app.",
            hint_zh="请从应用重新发起。",
        )


class UnknownApp(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_app",
            "You let no such app act for you.",
            message_zh="您没有授权过该应用。",
            hint="Look at the list of connected apps again.",
            hint_zh="请刷新已连接应用列表。",
        )


def bad_client(why: str, zh: str) -> OAuthError:
    return OAuthError(
        "invalid_client_metadata", f"The app's description is not usable: {why}.", f"应用信息不可用：{zh}。"
    )


def bad_grant(why: str = "It does not exist, was used, has expired, or is another app's") -> OAuthError:
    return OAuthError("invalid_grant", f"{why}.", "授权不存在、已使用、已过期或不属于该应用。")
