"""What applicants and operators are told."""

from __future__ import annotations

from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.programmes.cases import Application, Outcome, Payment, Tranche
from shanhe.programmes.model import Programme

MEASURES = (("未构成违约", "no breach"), ("警告", "a warning"), ("暂停后续发放", "later payments are suspended"),
            ("收回未使用的补贴", "unspent subsidy is taken back"))  # fmt: skip
FEN_ASSETS = ("cny", "voucher")
UNITS = {"credit": ("积分", "credits"), "cny": ("元", "CNY"), "voucher": ("元消费券", "CNY in vouchers"),
         "ticket": ("份", "units"), "point": ("贡献积分", "points")}  # fmt: skip


def amount_text(payment: Payment, amount: int) -> tuple[str, str]:
    """An amount with its unit in both languages."""
    zh, en = UNITS[payment.asset]
    if payment.asset == "credit":
        text = said_credits(amount)
    else:
        text = format_fen(amount) if payment.asset in FEN_ASSETS else f"{amount:,}"
    return f"{text} {zh}", f"{text} {en}"


def _notice(
    kind: str, programme: Programme, app: Application, title: tuple[str, str], body: tuple[str, str], word: str,
    severity: Severity = Severity.INFO,
) -> Notice:  # fmt: skip
    names = programme.title
    return Notice(
        f"programmes.{kind}", Text(f"{names.zh}：{title[0]}", f"{names.en}: {title[1]}"), Text(*body), severity,
        org_id=app.org_id, link=f"/applications/{app.id}", dedupe=f"programmes:{app.id}:{word}",
    )  # fmt: skip


def decided(programme: Programme, app: Application, verdict: str, turn: int) -> Notice:
    title = {
        "approved": ("已通过", "approved"),
        "refused": ("未通过", "refused"),
        "returned": ("请补充材料", "please add what is missing"),
    }
    body = {
        "approved": ("款项将按计划发放。", "It will be paid as planned."),
        "refused": (
            "理由与可改变结果的最小变化见申请页，您可以申诉。",
            "The reasons and what would change them are on its page; you can appeal.",
        ),
        "returned": ("需补充的内容见申请页。", "What is missing is on its page."),
    }
    return _notice("decided", programme, app, title[verdict], body[verdict], f"{verdict}:{app.round}:{turn}")


def released(programme: Programme, app: Application, tranche: Tranche) -> Notice:
    parts = [amount_text(item, item.released) for item in tranche.payments if item.released]
    body = ("、".join(zh for zh, _ in parts) or "已生效。", ", ".join(en for _, en in parts) or "It is in force.")
    return _notice("released", programme, app, ("已发放", "paid"), body, f"released:{tranche.n}")


def waiting(programme: Programme, app: Application) -> Notice:
    body = (
        "申请已通过，待预算到位后按先后次序发放。",
        "Approved; it is paid in order as soon as the budget is funded.",
    )
    return _notice("waiting", programme, app, ("等待预算", "waiting for the budget"), body, "waiting")


def lapsed(programme: Programme, app: Application, outcome: Outcome) -> Notice:
    zh = "；".join(reason.zh for reason in outcome.reasons) or "条件尚未核实"
    en = "; ".join(reason.en for reason in outcome.reasons) or "its conditions could not be checked"
    return _notice(
        "lapsed", programme, app, ("未能续期", "not renewed"), (f"{zh}。", f"{en}."), "lapsed", Severity.WARNING
    )


def breached(programme: Programme, app: Application, measure: int) -> Notice:
    zh, en = MEASURES[measure]
    body = (f"处理措施：{zh}。", f"The consequence: {en}.")
    title = ("违反优先使用承诺", "breach of the promise to use this platform first")
    return _notice("breach", programme, app, title, body, f"breach:{app.breaches}", Severity.WARNING)


def stopped(programme: Programme, app: Application, cause: str) -> Notice:
    body = (
        "未使用部分收回，已使用部分须退还（违约情形仅收回未使用部分）。",
        "What is unspent is taken back and what was spent is to be repaid (after a breach only what is unspent).",
    )
    return _notice("stopped", programme, app, ("已终止", "ended"), body, f"stopped:{cause}", Severity.WARNING)


def overdue(programme: Programme, app: Application, department: str) -> Notice:
    """To the operators: a department let a deadline pass."""
    title = Text(f"{programme.title.zh}：审核超期", f"{programme.title.en}: review overdue")
    body = Text(f"“{department}”未在期限内办理申请 {app.id}。", f"{department} let the deadline of {app.id} pass.")
    word = f"programmes:{app.id}:overdue:{app.round}:{app.step}:{app.step_due}"
    return Notice("programmes.overdue", title, body, Severity.WARNING, link=f"/review/{app.id}", dedupe=word)
