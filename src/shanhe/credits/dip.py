"""How an automatic purchase ends, for its rule. The caller holds the rule's row lock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shanhe.credits import messages, rule_store
from shanhe.credits.model import Purchase
from shanhe.kernel.notify import Notifier

RETRY_WAIT_S = 3_600
FAILURES_LIMIT = 3


async def over(conn: Any, purchase: Purchase) -> None:
    """The top-up was posted: the dip is over, and a later one may buy again."""
    await rule_store.end_auto(conn, purchase.org_id, purchase.id, failures=0, not_before=None, enabled=True)


async def failed(conn: Any, purchase: Purchase, now: datetime, notifier: Notifier) -> None:
    """Count an automatic purchase that was not paid: wait before the next, stop after several. The rule is locked."""
    rule = await rule_store.auto(conn, purchase.org_id)
    if rule is None or rule.purchase_id != purchase.id:
        return
    failures = rule.failures + 1
    stopped = failures >= FAILURES_LIMIT
    await rule_store.end_auto(
        conn,
        rule.org_id,
        purchase.id,
        failures=failures,
        not_before=now + timedelta(seconds=RETRY_WAIT_S),
        enabled=not stopped,
    )
    await notifier.notify(messages.auto_failed(rule, purchase, stopped=stopped), conn)
