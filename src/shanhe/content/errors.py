"""What can go wrong with content, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError, TooMany


class UnknownKind(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_content_kind", f"The hub writes no {name[:40]!r}.",
            message_zh=f"内容中台没有“{name[:40]}”这一类。",
            hint="GET /api/content/kinds lists what it writes.", hint_zh="GET /api/content/kinds 列出全部类别。",
        )  # fmt: skip


class UnknownContent(NotFound):
    """A draft, a request or a profile that isn't there."""

    def __init__(self, what: str, zh: str) -> None:
        super().__init__(
            "unknown_content", f"There is no such {what} of yours.", message_zh=f"没有该{zh}，或不属于您。"
        )


class BadForm(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_content_form", f"{en}.", message_zh=f"{zh}。")


class IdTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "content_id_taken", "This id was used for something else.", message_zh="该编号已用于其他内容。",
            hint="Use a new id for a new request.", hint_zh="新的请求请使用新的编号。",
        )  # fmt: skip


class NoModel(Conflict):
    def __init__(self, name: str = "") -> None:
        what = f"The model {name[:80]!r} is not offered" if name else "No model that writes is offered now"
        zh = f"没有可用的模型“{name[:80]}”" if name else "当前没有可用的写作模型"
        super().__init__(
            "content_no_model", f"{what}.", message_zh=f"{zh}。",
            hint="Leave the model empty to take the city's own.", hint_zh="模型留空即使用市里默认模型。",
        )  # fmt: skip


class FreeUsedUp(ShanheError):
    """Nothing (or too little) is left of the free tier, and own credits may not pay."""

    default_status = 402

    def __init__(self, left: int, asked: int, why: tuple[str, str]) -> None:
        super().__init__(
            "content_free_used_up",
            f"{why[1]}: {left} free drafts are left for the {asked} you ask for.",
            message_zh=f"{why[0]}：本次需要 {asked} 稿，免费额度剩 {left} 稿。",
            hint="Ask for fewer drafts, or agree that your own credits pay: PUT /api/content/own.",
            hint_zh="可减少稿数，或同意由自有积分支付（本月或长期）。",
            details={"free_left": left, "asked": asked},
        )


class TooManyOpen(TooMany):
    def __init__(self, most: int) -> None:
        super().__init__(
            "content_busy", f"{most} drafts are being written for you already.",
            message_zh=f"已有 {most} 稿正在撰写，请稍候。", retry_after_s=10,
        )  # fmt: skip


class Unusable(ShanheError):
    """What the model wrote is no text of this kind; nothing was charged."""

    default_status = 502

    def __init__(self) -> None:
        super().__init__(
            "content_unusable", "The model's answer could not be used; nothing was charged and the free use is back.",
            message_zh="模型的回答无法使用，未扣费，免费次数已退回。", hint="Write it again.", hint_zh="请重写一次。",
        )  # fmt: skip


class Overtaken(Conflict):
    """Another process works on the draft, or it was deleted meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            "content_overtaken", "The draft is no longer ours.", message_zh="该稿已由其他进程处理或已删除。"
        )


class NotAPayer(Invalid):
    def __init__(self, name: str) -> None:
        super().__init__(
            "content_not_a_payer", f"{name} is no government body: only one can pay the free tier.",
            message_zh=f"{name} 不是政府机关，不能支付免费额度。",
        )  # fmt: skip
