"""What people are told of proposals."""

from __future__ import annotations

from shanhe.governance.model import Proposal, State, duties
from shanhe.kernel.notify import Notice, Severity, Text

ENDINGS = {
    State.ADOPTED: ("已通过并生效程序完成", "adopted"), State.REJECTED: ("未通过", "rejected"),
    State.VETOED: ("被一票否决", "vetoed"), State.FAILED: ("通过后无法生效", "could not take effect"),
}  # fmt: skip


def ended(found: Proposal, becomes: State) -> Notice:
    zh, en = ENDINGS[becomes]
    return Notice(
        "governance.ended", Text(f"提案{zh}：{found.title}", f"Proposal {en}: {found.title}"),
        Text("详情见治理页面。", "See its page under governance."),
        Severity.INFO if becomes is State.ADOPTED else Severity.WARNING, person_id=found.proposed_by,
        link=f"/governance/{found.id}", dedupe=f"governance:{found.id}:{becomes}",
    )  # fmt: skip


def announced(found: Proposal) -> Notice:
    return Notice(
        "governance.announced", Text(f"公告：{found.title}", f"Announced: {found.title}"),
        Text(f"自 {found.effective_on} 起生效；可否决至 {found.veto_until}。",
             f"In force from {found.effective_on}; a veto may come until {found.veto_until}."),
        link=f"/governance/{found.id}", dedupe=f"governance:{found.id}:announced",
    )  # fmt: skip


def overdue(found: Proposal) -> Notice:
    department = duties().departments[found.at(found.step)]
    return Notice(
        "governance.overdue", Text(f"表决超期：{found.title}", f"Vote overdue: {found.title}"),
        Text(f"“{department.zh}”未在期限内表决。", f"{department.en} let its deadline pass."), Severity.WARNING,
        link=f"/governance/{found.id}", dedupe=f"governance:{found.id}:overdue:{found.step}",
    )  # fmt: skip
