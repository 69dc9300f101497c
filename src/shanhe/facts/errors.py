"""What can go wrong with a fact."""

from __future__ import annotations

from uuid import UUID

from shanhe.kernel.errors import Conflict, Invalid


class UnknownName(Invalid):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_fact_name",
            f"There is no fact called {name[:80]!r}.",
            message_zh=f"没有名为“{name[:80]}”的事实。",
            hint="GET /api/facts/names lists them with their types.",
            hint_zh="GET /api/facts/names 列出全部名称与类型。",
        )


class BadFact(Invalid):
    def __init__(self, name: str, problem: str, problem_zh: str) -> None:
        super().__init__(
            "bad_fact", f"{name}: {problem}.", message_zh=f"{name}：{problem_zh}。",
            hint="Correct it and publish again; nothing was written.", hint_zh="请改正后重新提交，本次未写入。",
        )  # fmt: skip


class FactConflict(Conflict):
    def __init__(self, identifier: UUID) -> None:
        super().__init__(
            "fact_conflict",
            f"The id {identifier} already belongs to a fact with other content.",
            message_zh=f"编号 {identifier} 已用于内容不同的事实。",
            hint="Use a new id for a new fact; a correction is a new fact with the same first day.",
            hint_zh="新的事实请使用新的编号；更正即以相同起始日再提交一条。",
        )
