"""What can go wrong with an application, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shanhe.kernel.documents.tables import ImportRefused as ImportRefused
from shanhe.kernel.errors import Conflict, Field, Forbidden, Invalid, NotFound, ShanheError
from shanhe.kernel.words import Word, en, zh


class NothingToConvert(Conflict):
    def __init__(self, points: int) -> None:
        super().__init__(
            "nothing_to_convert", f"{points} points are less than a block that converts (T5).",
            message_zh=f"{points} 点不足一份，暂不能转换（T5）。", hint="Earn more points first.",
            hint_zh="请积累更多贡献积分后再转换。",
        )  # fmt: skip


class UnknownSite(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_site", f"The city has no base {name[:80]!r}.", message_zh=f"没有名为“{name[:80]}”的基地。",
            hint="GET /api/programmes/sites lists them.", hint_zh="GET /api/programmes/sites 列出全部基地。",
        )  # fmt: skip


class NothingToCall(Conflict):
    def __init__(self, days: int, nearest: Sequence[Mapping[str, str]]) -> None:
        near = nearest[0] if nearest else {"zh": f"逾期满 {days} 天后再申请", "en": f"ask again {days} days past due"}
        super().__init__(
            "nothing_to_call", f"The fund pays nothing yet: the loan has to be {days} days past due, with a loss.",
            message_zh=f"暂不能代偿：贷款须逾期满 {days} 天且已有损失。", hint=near["en"], hint_zh=near["zh"],
        )  # fmt: skip


class RecoveryConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "recovery_conflict", "This id already belongs to another recovery.", message_zh="该编号已用于另一笔追回。",
            hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class CatalogueInvalid(ShanheError):
    default_status = 500

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            "catalogue_invalid", f"Programme file {where}: {problem}.", message_zh=f"计划文件 {where}：{problem}。",
            hint="Correct the file; the city does not start with a programme that is not in order.",
            hint_zh="请修正该文件；计划文件有误时城市不会启动。",
        )  # fmt: skip


class UnknownProgramme(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_programme", f"There is no programme {name[:80]!r}.", message_zh=f"没有名为“{name[:80]}”的计划。",
            hint="GET /api/programmes lists them.", hint_zh="GET /api/programmes 列出全部计划。",
        )  # fmt: skip


class UnknownApplication(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_application", "There is no such application that you may see.",
            message_zh="没有该申请，或您无权查看。",
        )  # fmt: skip


class UnknownBudget(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_budget", f"There is no budget {name[:80]!r}.", message_zh=f"没有名为“{name[:80]}”的预算。",
            hint="GET /api/programmes/budgets lists them.", hint_zh="GET /api/programmes/budgets 列出全部预算。",
        )  # fmt: skip


class BadAnswers(Invalid):
    """`problems`: field, zh, en; `form`: what the form says of its fields."""

    def __init__(self, problems: Sequence[tuple[str, str, str]], form: Mapping[str, Field] | None = None) -> None:
        known = {
            name: (form or {}).get(name) or Field(pointer=f"/answers/{name}", zh=name, en=name)
            for name, _, _ in problems
        }
        told = {name: one.en if one.en == name else f"{one.en} ({name})" for name, one in known.items()}
        super().__init__(
            "bad_answers",
            "The form is not complete: " + "; ".join(f"{told[name]}: {en}" for name, _, en in problems) + ".",
            message_zh="表单未填写完整：" + "；".join(f"{known[name].zh}：{zh}" for name, zh, _ in problems) + "。",
            hint="Correct these fields; nothing was recorded.", hint_zh="请改正这些项目；本次未提交。",
            details={"fields": [known[name].wrong(zh, en) for name, zh, en in problems]},
        )  # fmt: skip


class BadField(Invalid):
    """One field of a request that is not in order: what it is called (zh, en), what is wrong and what is allowed."""

    def __init__(
        self, pointer: str, called: tuple[str, str], zh: str, en: str, *, code: str, unit: str = "",
        allowed: Mapping[str, object],
    ) -> None:  # fmt: skip
        field = Field(pointer=pointer, zh=called[0], en=called[1], unit=unit, allowed=allowed)
        super().__init__(code, f"{field.en} {en}.", message_zh=f"{field.zh}{zh}。",
                         details={"fields": [field.wrong(zh, en)]})  # fmt: skip


class NotForYou(Invalid):
    def __init__(self, title_zh: str, title_en: str, why_zh: str, why_en: str) -> None:
        super().__init__(
            "not_for_you", f"{title_en}: {why_en}.", message_zh=f"{title_zh}：{why_zh}。",
            hint="See what you are entitled to for what you can apply for.", hint_zh="“我能享受什么”列出可申请的计划。",
        )  # fmt: skip


class AlreadyClaimed(Conflict):
    def __init__(self, zh: str, en: str) -> None:
        super().__init__(
            "already_claimed", f"This was applied for already: {en}.", message_zh=f"已有申请占用：{zh}。",
            hint="Look at your applications; if the other one is not yours, tell the department.",
            hint_zh="请查看已有申请；若并非您提交，请联系主管部门。",
        )  # fmt: skip


class ApplicationConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "application_conflict",
            f"The reference {client_ref!r} already belongs to an application with other content.",
            message_zh=f"编号 {client_ref!r} 已用于内容不同的申请。",
            hint="Use a new reference for a new application.", hint_zh="新的申请请使用新的编号。",
        )  # fmt: skip


class AskAgain(Conflict):
    """Another award of the programme was approved in between, and this one counts what came before."""

    def __init__(self) -> None:
        super().__init__(
            "ask_again", "Another award of this programme was approved just now; nothing was recorded.",
            message_zh="该计划刚有另一项获批，本次未写入。", hint="Do it again.", hint_zh="请重试。",
        )  # fmt: skip


class WrongState(Conflict):
    def __init__(self, state: Word, wanted: Word) -> None:
        super().__init__(
            "wrong_state", f"The application is {en(state)}; this needs it to be {en(wanted)}.",
            message_zh=f"申请当前状态为“{zh(state)}”，该操作要求：{zh(wanted)}。",
            hint="Open the application again to see where it stands.", hint_zh="请重新打开申请查看最新状态。",
        )  # fmt: skip


class CallConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "call_conflict", "This id belongs to another call of a guarantee.",
            message_zh="该编号已用于另一笔代偿申请。",
            hint="Send a new id for another call.", hint_zh="另一笔申请请使用新的编号。",
        )  # fmt: skip


class NotYourDesk(Forbidden):
    def __init__(self, department: str) -> None:
        super().__init__(
            "not_your_desk", f"This step is decided by {department}, and you do not review for it.",
            message_zh=f"该环节由“{department}”办理，您不是其审核人员。",
            hint="An operator assigns reviewers to departments.", hint_zh="审核人员由运营人员指派。",
        )  # fmt: skip


class JudgesItself(Forbidden):
    """R0: nobody decides for themselves or a related party."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(
            "judges_itself", f"You can't decide this: {en}.", message_zh=f"您须回避：{zh}。",
            hint="Leave it to a colleague.", hint_zh="请交由其他审核人员办理。",
        )  # fmt: skip


class AlreadyJudged(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "already_judged",
            "You have decided on this step already; another person has to be the second pair of eyes.",
            message_zh="您已对本环节作出决定；须由另一人复核。",
        )  # fmt: skip


class AlreadyAssessed(Conflict):
    """`changed`: answers by name, as people know them."""

    def __init__(self, changed: Sequence[tuple[str, Field]]) -> None:
        super().__init__(
            "already_assessed",
            f"Others have passed this application with another assessment: {', '.join(one.en for _, one in changed)}.",
            message_zh=f"他人已按另一认定通过：{'、'.join(one.zh for _, one in changed)}。",
            hint="Return it with your reason: it is then reviewed anew from the first step.",
            hint_zh="请写明理由退回：补正后从第一环节重新审核。",
        )  # fmt: skip


class NeedsReason(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "needs_reason", "Refusing or returning an application needs a reason the applicant can act on.",
            message_zh="退回或不予通过须写明申请人可据以改进的理由。",
            details={"fields": [Field(pointer="/reason", zh="理由", en="Reason", allowed={"minLength": 1}).wrong(
                "缺失", "is missing")]},
        )  # fmt: skip


class NotDecidable(Conflict):
    """`missing`: answers and facts by name, as people know them."""

    def __init__(self, missing: Sequence[tuple[str, Field]]) -> None:
        told = ", ".join(one.en if one.en == name else f"{one.en} ({name})" for name, one in missing)
        super().__init__(
            "not_decidable", f"The rules can't decide yet; this is missing: {told}.",
            message_zh=f"规则尚无法判断，缺少：{'、'.join(one.zh for _, one in missing)}。",
            hint="Fill in what reviewers assess, or have the facts checked.",
            hint_zh="请补充审核填写的项目，或先核实相关事实。",
            details={"missing": [name for name, _ in missing],
                     "fields": [one.wrong("缺失", "is missing") | {"field": name} for name, one in missing]},
        )  # fmt: skip
