"""What can go wrong with clones, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import en, zh


class UnknownMandate(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_clone_consent",
            "There is no such request for consent, or it is not yours.",
            message_zh="没有该授权请求，或不属于您。",
            hint="Ask whoever makes the clone for a new link.",
            hint_zh="请向分身制作方索取新的链接。",
        )


class UnknownFeedback(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_feedback", "There is no such feedback.", message_zh="没有该条反馈。")


class CloneRefused(Forbidden):
    """The person's consent does not cover this call."""

    def __init__(self, name: str, why: str, why_zh: str) -> None:
        super().__init__(
            "clone_not_permitted",
            f"{name} may not answer this: {why}. Nothing was charged.",
            message_zh=f"{name} 不能作答：{why_zh}。未产生费用。",
            hint="Say another purpose in metadata.purpose, or ask another clone.",
            hint_zh="请在 metadata.purpose 中注明其他用途，或改用其他分身。",
        )


class AlreadyAsked(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "clone_consent_open",
            f"A request for {name} is open already, or its consent stands.",
            message_zh=f"{name} 已有待处理的授权请求或有效授权。",
            hint="Drop it first, or use another short name.",
            hint_zh="请先撤下原请求，或使用其他短名称。",
        )


class WrongMandateState(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "clone_consent_state",
            f"This request is {en(state)} already.",
            message_zh=f"该请求已有结果（{zh(state)}）。",
            hint="Look at it again; a consent that ended needs a new request.",
            hint_zh="请刷新查看；已结束的授权须重新请求。",
        )


class BadMandate(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_clone_consent", f"{en}.", message_zh=f"{zh}。")


class BadFeedback(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_feedback", f"{en}.", message_zh=f"{zh}。")


class NothingToTeach(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "nothing_to_teach",
            "No accepted feedback with a standing consent is left that is not in the data set yet.",
            message_zh="没有可用的新反馈：须已采纳、反馈人同意仍有效且尚未入集。",
            hint="Review feedback first.",
            hint_zh="请先审核反馈。",
        )


class GateClosed(Conflict):
    def __init__(self, why_zh: str, why_en: str) -> None:
        super().__init__(
            "clone_gate_closed",
            f"The version can't be offered (T2): {why_en}.",
            message_zh=f"该版本不能上架（T2）：{why_zh}。",
            hint="Collect more feedback and train again.",
            hint_zh="请收集更多反馈后重新训练。",
        )
