"""Recording an amendment: it must load, type and pass every example and proof before it is written."""

from __future__ import annotations

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.rulebook import store
from shanhe.rulebook.model import RuleAmendment
from shanhe.rulebook.service import Rulebook


async def load_amended(db: Database) -> Rulebook:
    """The packaged rules with every recorded amendment layered on."""
    return Rulebook.load(await store.amendments(db))


async def record(db: Database, clock: Clock, rulebook: Rulebook, amendment: RuleAmendment) -> Rulebook:
    """Prove an amendment on top of `rulebook`, record it, and return the amended rulebook.

    Idempotent by id; Conflict for the same id with other content; Invalid when a proof or an example fails.
    """
    amended = rulebook.amended([amendment])
    report = amended.check(amendment.rule_id)
    for rule_id in amended.sharing(amendment.rule_id) if report.ok else ():
        report = report if not report.ok else amended.check(rule_id)
    if not report.ok:
        first = report.failed()[0]
        raise Invalid(
            "rule_amendment_unproved",
            f"The amendment of {amendment.rule_id} fails {first.check}: {first.message}",
            message_zh=f"对 {amendment.rule_id} 的修订未通过 {first.check}：{first.message_zh}",
            hint="Correct the amendment or its examples; nothing was recorded.",
            hint_zh="请改正修订内容或示例；尚未记录任何内容。",
            details=report.to_dict(),
        )
    if not await store.add(db, amendment, clock.now()) and not await store.same(db, amendment):
        raise Conflict(
            "rule_amendment_differs",
            f"Amendment {amendment.id} is already recorded with other content.",
            message_zh=f"修订 {amendment.id} 已以不同内容记录。",
            hint="Use a new id for a new amendment.",
            hint_zh="新的修订请使用新的编号。",
        )
    return amended
