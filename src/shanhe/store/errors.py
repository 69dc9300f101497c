"""What can go wrong with listings, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import Word, en, zh
from shanhe.store.contest_model import Phase
from shanhe.store.model import Check

CALLED = {
    "category": ("分类", "category"), "content": ("版本内容", "content"), "fee_micro": ("每次费用", "fee a call"),
    "holders": ("权利人费率", "rates of holders"), "makers": ("其他制作方与份额", "other makers"),
    "markup_bps": ("加价率", "markup"), "note": ("理由", "reason"), "notes": ("版本说明", "notes"),
    "order": ("排序", "order"), "period": ("期间", "period"), "rights": ("使用的知识产权", "rights used"),
    "score": ("评分", "score"),
    "slug": ("短名称", "short name"), "stars": ("星级", "stars"),
    "reply": ("回复", "reply"), "summary": ("简介", "summary"),
    "definition": ("格式", "definition"), "model": ("模型", "model"), "tools": ("工具", "tools"),
    "knowledge": ("知识库", "knowledge"), "filing": ("算法登记", "filing"), "consent": ("本人授权", "consent"),
    "gate": ("评测", "evaluation"), "voice": ("声音", "voice"), "entries": ("参赛作品", "entries"),
    "jurors": ("评委", "jurors"), "pool_fen": ("奖金池", "prize pool"), "work": ("作品说明", "description"),
    "server": ("服务", "server"), "members": ("成员", "members"),
}  # fmt: skip
"""What fields and checks are called on the pages, Chinese first."""


def _called(name: str) -> tuple[str, str]:
    return CALLED.get(name, (name, name))


class ListingChanged(Conflict):
    """Somebody wrote since the draft that is being changed was read."""

    def __init__(self) -> None:
        super().__init__(
            "listing_changed", "Somebody else saved this draft since you read it; yours is not saved yet.",
            message_zh="您打开后，草稿已被另一处保存；您的修改尚未保存。",
            hint="Look at theirs first, or save again to put yours in its place.",
            hint_zh="可先查看对方的草稿；再次保存将以您的内容替换。",
        )  # fmt: skip


class UnknownListing(NotFound):
    def __init__(self, name: str = "") -> None:
        super().__init__(
            "unknown_listing",
            f"There is no listing {name[:80]!r} that you may see.",
            message_zh=f"没有名为“{name[:80]}”的上架项，或您无权查看。",
            hint="The store (over HTTP, GET /api/store/listings) shows what is offered.",
            hint_zh="“商店”中列有在售上架项（接口：GET /api/store/listings）。",
        )


class NameTaken(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "listing_name_taken",
            f"{name} is taken.",
            message_zh=f"名称 {name} 已被占用。",
            hint="Choose another short name.",
            hint_zh="请换一个短名称。",
        )


class BadListing(Invalid):
    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__(
            "bad_listing",
            f"{_called(field)[1]}: {en}.",
            message_zh=f"{_called(field)[0]}：{zh}。",
            hint="Correct the field; nothing was saved.",
            hint_zh="请改正该项；本次未保存。",
            details={"field": field},
        )


class ChecksFailed(Invalid):
    """A version can't be submitted as it is."""

    def __init__(self, checks: Sequence[Check]) -> None:
        failed = [check for check in checks if not check.passed]
        super().__init__(
            "checks_failed",
            "Not submitted: " + "; ".join(f"{_called(check.name)[1]}: {check.en}" for check in failed) + ".",
            message_zh="未提交：" + "；".join(f"{_called(check.name)[0]}：{check.zh}" for check in failed) + "。",
            hint="Correct the draft and submit it again.",
            hint_zh="请修改草稿后重新提交。",
            details={"checks": [{"name": c.name, "zh": c.zh, "en": c.en} for c in failed]},
        )


class WrongState(Conflict):
    def __init__(self, what: str, state: Word, wanted: Word) -> None:
        super().__init__(
            "listing_state",
            f"{what} is {en(state)}; it can't be {en(wanted)} now.",
            message_zh=f"{what} {zh(state)}，不能变为“{zh(wanted)}”。",
            hint="Look at the listing again; somebody may have been quicker.",
            hint_zh="请刷新上架项查看最新状态。",
        )


class OwnListing(Forbidden):
    """R0: nobody reviews or judges what is theirs."""

    def __init__(self) -> None:
        super().__init__(
            "own_listing",
            "You belong to whoever earns by this listing, so somebody else decides about it.",
            message_zh="您与该上架项的制作方或分成方有关联，须由他人审核。",
            hint="Ask another reviewer.",
            hint_zh="请由其他审核人处理。",
        )


class NotAUser(Forbidden):
    """Only who has paid for a call rates."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "not_a_user",
            f"Only who has paid for a call of {name} can rate it; related parties can't (R0).",
            message_zh=f"只有付费调用过 {name} 的用户才能评分；关联方不能评分（R0）。",
            hint="Call it first; the rating opens with the first paid call.",
            hint_zh="请先调用；首次付费调用后即可评分。",
        )


class StruckWords(Conflict):
    """Words that a complaint was upheld about can't be said again."""

    def __init__(self) -> None:
        super().__init__(
            "struck_words",
            "Your words here were taken away upon a complaint; no others can take their place.",
            message_zh="您在此处的文字经投诉核实已移除，不能再次发表。",
            hint="Stars can still be changed, without a text.",
            hint_zh="仍可修改星级（不附评语）。",
        )


class UnknownContest(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_contest",
            "There is no such contest or entry that you may see.",
            message_zh="没有该赛事或参赛作品，或您无权查看。",
            hint="GET /api/store/contests lists contests.",
            hint_zh="GET /api/store/contests 列出全部赛事。",
        )


class BadContest(Invalid):
    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__(
            "bad_contest",
            f"{_called(field)[1]}: {en}.",
            message_zh=f"{_called(field)[0]}：{zh}。",
            hint="Correct the field; nothing was saved.",
            hint_zh="请改正该项；本次未保存。",
            details={"field": field},
        )


class SaysItsName(Invalid):
    """The jury is blind."""

    def __init__(self, said: str) -> None:
        super().__init__(
            "entry_says_its_name",
            f"The text says {said!r}; jurors must not see whose entry it is.",
            message_zh=f"文字中出现了“{said}”；评审须匿名进行。",
            hint="Describe the work without your organisation's and your listing's names.",
            hint_zh="请去掉本机构与上架项的名称后重新提交。",
        )


class NotAJuror(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_a_juror",
            "You are not on the jury of this contest.",
            message_zh="您不是该赛事的评委。",
            hint="Operators name jurors.",
            hint_zh="评委由运营方指定。",
        )


class NotThePhase(Conflict):
    def __init__(self, phase: Phase) -> None:
        words = {
            Phase.ANNOUNCED: ("not open yet", "尚未开始"), Phase.ENTRIES: ("open for entries", "正在报名"),
            Phase.JURY: ("with the jury", "评审中"), Phase.DECIDED: ("decided", "已揭晓"),
        }  # fmt: skip
        en, zh = words[phase]
        super().__init__(
            "contest_phase",
            f"The contest is {en}; this can't be done now.",
            message_zh=f"赛事{zh}，现在不能执行该操作。",
            hint="The contest's page says its days.",
            hint_zh="赛事页面列出各阶段日期。",
        )


class FourEyes(Forbidden):
    """Who shapes a contest does not decide it."""

    def __init__(self) -> None:
        super().__init__(
            "contest_four_eyes",
            "You called this contest, or named or dismissed one of its jurors; the decision needs somebody else.",
            message_zh="您发起了该赛事，或指定、更换过评委；名次须由另一位运营人员揭晓。",
            hint="Ask an operator who had no hand in it.",
            hint_zh="请由未参与发起和指定评委的运营人员揭晓。",
        )


class NotJudged(Conflict):
    def __init__(self, waiting: Sequence[int], jurors_min: int) -> None:
        listed = ", ".join(f"#{n}" for n in waiting[:20])
        super().__init__(
            "not_judged",
            f"These entries have not been judged by {jurors_min} jurors unrelated to the entrant: {listed}.",
            message_zh=f"以下作品的无关联评委不足 {jurors_min} 人：{listed}。",
            hint="Wait for the jury, or name more jurors; after the last day of judging such entries take no place.",
            hint_zh="请等待或增加评委；评审截止后，评委不足的作品不参与排名。",
        )
