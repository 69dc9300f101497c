"""What can go wrong in the registry of rights, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence

from shanhe.kernel import words
from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import field_en, field_zh


class UnknownEntry(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_right", "The registry has no such entry, or it is not yours to see.",
            message_zh="登记簿中没有该项知识产权，或您无权查看。",
            hint="The registry (GET /api/ip) shows what is verified; your own is under your rights (GET /api/ip/mine).",
            hint_zh="已核验的见“知识产权”（GET /api/ip），本单位的见“我的知识产权”（GET /api/ip/mine）。",
        )  # fmt: skip


class NumberTaken(Conflict):
    """It does not say whose the other entry is."""

    def __init__(self) -> None:
        super().__init__(
            "number_taken", "This registration number is in the registry already.",
            message_zh="该登记号已在登记簿中，同一登记号只能登记一次。",
            hint="If the right is yours, ask the intellectual property office to look into it, with your certificate.",
            hint_zh="如该权利属于您，请携证书联系知识产权处核查。",
        )  # fmt: skip


class BadEntry(Invalid):
    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__(
            "bad_right", f"{field_en(field)}: {en}.", message_zh=f"{field_zh(field)}：{zh}。",
            details={"field": field},
        )  # fmt: skip


class EntryConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "right_conflict", "This id already belongs to another entry.", message_zh="该编号已用于另一项登记。",
            hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class WrongState(Conflict):
    def __init__(self, state: str, en: str, zh: str) -> None:
        super().__init__(
            "wrong_right_state", f"The entry is {words.en(state)} and can't be {en}.",
            message_zh=f"该登记当前状态为“{words.zh(state)}”，不能{zh}。",
            hint="Look at the entry again: it may have moved on.", hint_zh="请刷新查看，登记状态可能已变化。",
        )  # fmt: skip


class NotConsented(Conflict):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            "not_consented", f"Not every holder has consented yet: {', '.join(names)}.",
            message_zh=f"尚有权利人未同意：{'、'.join(names)}。",
            hint="Each finds it under their rights and accepts or declines.",
            hint_zh="请各权利人在“知识产权”页面同意或拒绝。",
        )  # fmt: skip


class TermsOpen(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "terms_open", "Another change of this entry still waits for consent.",
            message_zh="该登记另有变更正在等待权利人同意。",
            hint="Wait for it, or decline it first.", hint_zh="请等待其结果，或先拒绝该变更。",
        )  # fmt: skip


class TermsChanged(Conflict):
    def __init__(self, n: int) -> None:
        super().__init__(
            "terms_changed", f"Other shares or another rate are proposed by now: terms {n}.",
            message_zh=f"所见份额与费率已被新的提议取代（第 {n} 版）。",
            hint="Read them, and answer these.", hint_zh="请查看新的提议后再答复。",
        )  # fmt: skip


class FiledAnew(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "filed_anew", "The entry was changed and handed in again since you read it.",
            message_zh="该登记在您查看之后已修改并重新提交。",
            hint="Read it again, then decide.", hint_zh="请重新查看后再作决定。",
        )  # fmt: skip


class NothingOpen(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "nothing_open", "There is nothing here that waits for your word.", message_zh="没有等待贵方答复的变更。"
        )


class NotAlone(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "not_alone", "A right of several holders is not withdrawn by one of them.",
            message_zh="共有的知识产权不能由一方撤回。",
            hint="Change the shares with the others' consent first, or ask the office to let it lapse.",
            hint_zh="请先经各方同意变更份额，或申请知识产权处办理失效。",
        )  # fmt: skip


class NotYourOffice(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_your_office", "Only reviewers of the intellectual property office decide on entries.",
            message_zh="须由知识产权处的审核人员办理。",
        )  # fmt: skip


class JudgesOwn(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "judges_own", "You or somebody related to you holds this right, so somebody else decides (R0).",
            message_zh="您与该权利人为同一方或关联方，须由他人审核（R0）。",
        )  # fmt: skip
