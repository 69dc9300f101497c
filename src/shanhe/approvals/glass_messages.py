"""What everybody who approves or audits is told of break-glass: at once, in the console, by e-mail and webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.kernel.words import MOVES

CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    **MOVES, "payments.payout": ("提现的第二次批准", "Second approval of a payout"),
    "access.audit": ("查看审计记录", "Read the audit"),
}  # fmt: skip


def _link(glass_id: UUID) -> str:
    return f"/city/break-glass/{glass_id}"


def _called(kind: str) -> Text:
    """What a class of acts is called for people."""
    return Text(*CLASSES.get(kind, (kind, kind)))


def opened(row: Any) -> Notice:
    until = row["expires_at"].astimezone(CITY_TZ).strftime("%H:%M")
    return Notice(
        "glass.opened", Text("警报：已启用紧急授权", "Alarm: break-glass was opened"),
        Text(f"一名运营人员启用了紧急授权，事项：{_called(row['class']).zh}，有效至 {until}，须由他人复核。",
             f"Somebody opened break-glass until {until}, to do this: {_called(row['class']).en}. Somebody else has to "
             "review it."),
        Severity.CRITICAL, link=_link(row["id"]), dedupe=f"glass:{row['id']}:opened",
    )  # fmt: skip


def acted(row: Any, kind: str, act_id: UUID, value_fen: int) -> Notice:
    yuan = f"{value_fen // 100}.{value_fen % 100:02d}"
    return Notice(
        "glass.acted", Text("警报：已据紧急授权单人办理", "Alarm: done by one person under break-glass"),
        Text(f"事项：{_called(kind).zh}，折合 {yuan} 元。", f"{_called(kind).en}, worth CNY {yuan}."),
        Severity.CRITICAL, link=_link(row["id"]), dedupe=f"glass:{row['id']}:act:{act_id}",
    )  # fmt: skip


def ended(row: Any) -> Notice:
    due = row["review_due"].astimezone(CITY_TZ).strftime("%Y-%m-%d %H:%M")
    return Notice(
        "glass.ended", Text("紧急授权已结束，待复核", "Break-glass has ended and waits for its review"),
        Text(f"请于 {due} 前由未参与者复核。", f"Somebody who took no part reviews it by {due}."),
        Severity.WARNING, link=_link(row["id"]), dedupe=f"glass:{row['id']}:ended",
    )  # fmt: skip


def overdue(row: Any) -> Notice:
    return Notice(
        "glass.overdue", Text("紧急授权复核超期", "The review of break-glass is overdue"),
        Text("职责矩阵已列为超期事项。", "The duty matrix lists it as overdue."),
        Severity.CRITICAL, link=_link(row["id"]), dedupe=f"glass:{row['id']}:overdue",
    )  # fmt: skip


def reviewed(row: Any, *, justified: bool) -> Notice:
    zh, en = ("理由成立", "justified") if justified else ("理由不成立", "not justified")
    return Notice(
        "glass.reviewed", Text(f"紧急授权复核：{zh}", f"Break-glass reviewed: {en}"),
        Text("结论与后续措施见其页面。", "Findings and what follows are on its page."),
        Severity.INFO if justified else Severity.WARNING, person_id=row["person_id"], link=_link(row["id"]),
        dedupe=f"glass:{row['id']}:reviewed",
    )  # fmt: skip
