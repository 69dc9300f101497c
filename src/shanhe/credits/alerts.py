"""Spend alerts and price-change notices: each told once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import msgspec

from shanhe.credits import messages, rule_store, windows
from shanhe.credits.errors import TooManyAlerts, UnknownAlert, ValueOutOfBounds
from shanhe.credits.model import AffectedBy, Alert, PriceChange, SpentBy, Window
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals

ALERTS_LIMIT = 50
ALERTS_PER_TICK = 200
CHECK_AGE_S = 30
AMOUNT_LIMIT_MICRO = 10**15
NAME_LIMIT_CHARS = 80
NAME_FIELD = "alert.name"


class Alerts:
    """Alert rules of organisations, and notices of price changes."""

    def __init__(
        self, db: Database, clock: Clock, *, notifier: Notifier, spent: SpentBy, affected: AffectedBy,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._seals = seals or Seals()
        self._db = db
        self._notifier = notifier
        self._clock = clock
        self._spent = spent
        self._affected = affected

    async def create(
        self,
        org_id: UUID,
        *,
        name: str,
        window: Window | str,
        amount_micro: int,
        percent: int = 100,
        key_id: UUID | None = None,
        actor: str,
    ) -> Alert:
        """Tell once per day or month when spending reaches `percent` of `amount_micro`; of one key if `key_id`."""
        alert = Alert(new_id(), org_id, name, _window(window), amount_micro, percent, key_id, True, self._clock.now())
        _check(alert)
        stored = await self._sealed(alert)
        async with self._db.transaction() as conn:
            if not await rule_store.insert_alert(conn, stored, actor, ALERTS_LIMIT):
                raise TooManyAlerts(ALERTS_LIMIT)
        return alert

    async def of(self, org_id: UUID) -> list[Alert]:
        return [await self._opened(alert) for alert in await rule_store.alerts_of(self._db, org_id)]

    async def _sealed(self, alert: Alert) -> Alert:
        return replace(alert, name=await self._seals.seal(alert.org_id, NAME_FIELD, alert.name))

    async def _opened(self, alert: Alert) -> Alert:
        return replace(alert, name=await self._seals.open(alert.org_id, NAME_FIELD, alert.name))

    async def change(self, org_id: UUID, alert_id: UUID, **changes: object) -> Alert:
        """Change name, window, amount_micro, percent, key_id or enabled. It still fires at most once a window."""
        alert = await rule_store.alert(self._db, org_id, alert_id)
        if alert is None:
            raise UnknownAlert
        if "window" in changes:
            changes["window"] = _window(changes["window"])
        alert = replace(await self._opened(alert), **changes)  # type: ignore[arg-type]
        _check(alert)
        await rule_store.update_alert(self._db, await self._sealed(alert))
        return alert

    async def delete(self, org_id: UUID, alert_id: UUID) -> None:
        if not await rule_store.delete_alert(self._db, org_id, alert_id):
            raise UnknownAlert

    async def run(self) -> int:
        """Check alerts that have not fired in their window, longest unchecked first; how many fired."""
        now = self._clock.now()
        spans = {Window.DAY: windows.day(now), Window.MONTH: windows.month(now)}
        due = await rule_store.due_alerts(
            self._db,
            now=now,
            day=spans[Window.DAY].day,
            month=spans[Window.MONTH].day,
            checked_before=now - timedelta(seconds=CHECK_AGE_S),
            limit=ALERTS_PER_TICK,
        )
        fired = 0
        for alert in due:
            span = spans[alert.window]
            spent_micro = await self._spent(alert.org_id, alert.key_id, span.start, span.end)
            if spent_micro < alert.threshold_micro:
                continue
            async with self._db.transaction() as conn:
                if await rule_store.fire_alert(conn, alert, span.day, spent_micro, now):
                    fired += await self._notifier.notify(messages.spend_reached(alert, spent_micro, span.day), conn)
        return fired

    # -- prices -------------------------------------------------------------------------------------------------------

    async def announce_prices(self, change: PriceChange) -> int:
        """Tell every organisation whose keys may call the model, once per change; how many were told now."""
        if all(change.before.get(bucket) == change.after.get(bucket) for bucket in {*change.before, *change.after}):
            return 0
        digest = hashlib.sha256(msgspec.json.encode([sorted(change.after.items())])).hexdigest()[:16]
        key = f"price/{change.model}/{change.valid_from.isoformat()}/{digest}"
        told = 0
        for affected in await self._affected(change.model):
            told += await self._notifier.notify(messages.price_changed(change, affected, key))
        return told


def _window(value: object) -> Window:
    if value not in tuple(Window):
        raise Invalid("unknown_window", "The window is day or month.", message_zh="统计周期只能是 day 或 month。")
    return Window(str(value))


def _check(alert: Alert) -> None:
    if not 0 < alert.amount_micro <= AMOUNT_LIMIT_MICRO:
        raise ValueOutOfBounds(1, AMOUNT_LIMIT_MICRO, "µ")
    if not 1 <= alert.percent <= 100:
        raise ValueOutOfBounds(1, 100, "%")
    if not 0 < len(alert.name) <= NAME_LIMIT_CHARS or not alert.name.isprintable():
        raise Invalid(
            "bad_text", "The name must be 1 to 80 printable characters.", message_zh="名称须为 1 至 80 个可见字符。"
        )
