"""What can go wrong in open science, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence

from shanhe.kernel import words
from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import field_en, field_zh


class UnknownDeposit(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_deposit", "There is no such deposit, or it is not public.",
            message_zh="没有该成果，或尚未公开。",
            hint="GET /api/science lists what is public, GET /api/science/mine your own.",
            hint_zh="GET /api/science 列出已公开的成果，GET /api/science/mine 列出本单位的。",
        )  # fmt: skip


class UnknownReuse(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_reuse", "There is no such reuse, or it is not yours to decide.",
            message_zh="没有该复用记录，或您无权办理。",
        )  # fmt: skip


class BadDeposit(Invalid):
    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__(
            "bad_deposit", f"{field_en(field)}: {en}.", message_zh=f"{field_zh(field)}：{zh}。",
            details={"field": field},
        )  # fmt: skip


class DepositConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "deposit_conflict", "This id already belongs to something else.", message_zh="该编号已被使用。",
            hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class WrongState(Conflict):
    def __init__(self, state: str, en: str, zh: str) -> None:
        super().__init__(
            "wrong_deposit_state", f"It is {words.en(state)} and can't be {en}.",
            message_zh=f"当前状态为“{words.zh(state)}”，不能{zh}。",
            hint="Look at it again: it may have moved on.", hint_zh="请刷新查看，状态可能已变化。",
        )  # fmt: skip


class DraftChanged(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "draft_changed", "The draft, or the authors' shares, were changed since you read it.",
            message_zh="该稿或作者份额在您查看之后已修改。",
            hint="Read it again, then agree.", hint_zh="请重新查看后再确认。",
        )  # fmt: skip


class NotAgreed(Conflict):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            "authors_not_agreed", f"Not every author has agreed yet: {', '.join(names)}.",
            message_zh=f"尚有作者未确认：{'、'.join(names)}。",
            hint="Each finds it under their outputs and agrees.", hint_zh="请各作者在“开放科学”页面确认。",
        )  # fmt: skip


class AlreadyDeclared(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "already_declared", "This reuse was declared already; one thing reuses one deposit once.",
            message_zh="该复用已申报；同一事物对同一成果只计一次。",
        )  # fmt: skip


class OwnDeposit(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "own_deposit", "What one made oneself is used, not reused: a self-citation is not declared.",
            message_zh="使用自己的成果不属于复用，自引不予申报。",
        )  # fmt: skip


class NotYours(Invalid):
    def __init__(self, how: str, ref: str) -> None:
        super().__init__(
            "not_yours", f"You have no {how} {ref[:80]!r}.", message_zh=f"贵单位没有该{how}：{ref[:80]}。",
            hint="Name what is yours and public: a deposit by its name, a listing, a model or a data set.",
            hint_zh="请填写本单位已公开的成果编号、上架项、模型或数据集。",
        )  # fmt: skip


class JudgesOwn(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "judges_own", "You or somebody related to you has a part in this, so somebody else decides (R0).",
            message_zh="您与当事一方为同一方或关联方，须由他人办理（R0）。",
        )  # fmt: skip
