"""What can go wrong with webhooks, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound


class BadEndpoint(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_webhook", f"The webhook can't be kept: {en}.", message_zh=f"无法保存该 Webhook：{zh}。")


class UnknownEndpoint(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_webhook", "There is no such webhook of yours.", message_zh="没有该 Webhook，或不属于您。",
            hint="GET /api/webhooks lists them.", hint_zh="GET /api/webhooks 列出全部。",
        )  # fmt: skip


class UnknownDelivery(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_delivery", "There is no such delivery of yours.", message_zh="没有该投递，或不属于您。",
            hint="Deliveries are kept for 30 days.", hint_zh="投递记录保留 30 天。",
        )  # fmt: skip


class EndpointTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "webhook_taken", "This id is another webhook's.", message_zh="该编号已被另一个 Webhook 使用。",
            hint="Leave the id out, or draw a new one.", hint_zh="请不填编号，或换一个新编号。",
        )  # fmt: skip


class EndpointOff(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "webhook_off", "This webhook is off.", message_zh="该 Webhook 已停用。",
            hint="Switch it on first.", hint_zh="请先重新启用。",
        )  # fmt: skip
