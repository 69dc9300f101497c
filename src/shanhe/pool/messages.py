"""What the owner of a machine is told when the city stops it, starts it again or takes it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shanhe.kernel.money import format_credits
from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.pool.model import Node, NodeState, Verdict

KIND: Final = "pool.node"
CHECKS: Final = {
    "count": Text("词元计数", "token counts"),
    "answer": Text("答案", "answers"),
    "replay": Text("重复答案", "repeats"),
    "refusal": Text("拒答", "refusals"),
}
TITLES: Final = {
    NodeState.DRAINING: Text("您的机器 {name} 已由运营方停止接单", "The city drained your machine {name}"),
    NodeState.QUARANTINED: Text("您的机器 {name} 已被隔离", "Your machine {name} was quarantined"),
    NodeState.JOINING: Text("您的机器 {name} 已恢复，重新测速后服务", "Your machine {name} is back, to be measured"),
    NodeState.GONE: Text("您的机器 {name} 已由运营方移除", "The city took out your machine {name}"),
}
BODIES: Final = {
    NodeState.DRAINING: Text("正在处理的调用会完成，不再派发新调用。", "What runs is finished, nothing new comes."),
    NodeState.QUARANTINED: Text(
        "不再派发新调用，近期收益暂扣，待运营方查清。",
        "Nothing new comes, and recent income is withheld until it is cleared.",
    ),
    NodeState.JOINING: Text("", ""),
    NodeState.GONE: Text("凭据与收益保留。", "Receipts and income stay."),
}


def stopped_or_freed(node: Node, state: NodeState, reason: str, detail: Mapping[str, Any] | None) -> Notice:
    """For the organisation that lends the node; `detail`: the inspector's figures, where it was the one."""
    said = told(reason, detail)
    title, body = TITLES[state], BODIES[state]
    return Notice(
        KIND,
        Text(title.zh.format(name=node.name), title.en.format(name=node.name)),
        Text(f"{said.zh} {body.zh}".strip(), f"{said.en} {body.en}".strip()),
        severity=Severity.INFO if state is NodeState.JOINING else Severity.WARNING,
        org_id=node.owner,
        link=f"/nodes/{node.name}",
    )


def withheld_decided(node: Node, amount_micro: int, reason: str, *, give_back: bool) -> Notice:
    """For the organisation that lends the node: what was withheld is theirs again, or is not."""
    sum_ = format_credits(amount_micro)
    title = Text("节点 {name} 暂扣的收益已退还", "What was withheld of {name} is yours again")
    if not give_back:
        title = Text("节点 {name} 暂扣的收益不予退还", "What was withheld of {name} is not given back")
    return Notice(
        KIND,
        Text(title.zh.format(name=node.name), title.en.format(name=node.name)),
        Text(f"{sum_} 积分。{reason}", f"{sum_} credits. {reason}"),
        severity=Severity.INFO if give_back else Severity.WARNING,
        org_id=node.owner,
        link=f"/nodes/{node.name}",
    )


def told(cause: str, detail: Verdict | Mapping[str, Any] | None) -> Text:
    """Why a node stands as it does: by the inspector's figures where there are some, else as somebody wrote it."""
    if not isinstance(detail, Verdict):
        if not detail or "failures" not in detail:
            return Text(cause, cause)
        detail = msgspec.convert(detail, Verdict)
    check = CHECKS[detail.check]
    return Text(
        f"核验未通过（{check.zh}）：{detail.checks} 次中 {detail.failures} 次不合格。",
        f"It failed its checks ({check.en}): {detail.failures} of {detail.checks}.",
    )
