"""What of a maker's income may become cash: rewards that are no longer pending; subsidy only from unrelated payers.

R1: whatever a subsidy pays stays subsidy, and is settled in cash only to a maker unrelated to the payer, after review.
Income of a day is one lot for each provenance, so who paid a subsidy lot is read from the calls of that day. What was
spent of such a lot counts first against its unrelated part, so that nothing related is ever paid out in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from shanhe.kernel.asking import Related
from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.paging import every
from shanhe.ledger.api import Asset, InsufficientCredit, Ledger, Lot, Provenance
from shanhe.payments.payout_model import Earnings

PAGE_ROWS: Final = 500
PAGES_MAX: Final = 40
"""A lot that more postings fed in one day is left out rather than guessed at."""
LOTS_ROWS: Final = 500


class _Payer(msgspec.Struct):
    """What a call's evidence says of its payer; the rest is not read."""

    org_id: UUID | None = None


_payer = msgspec.json.Decoder(_Payer)


@dataclass(frozen=True)
class Usable:
    """Lots that may be paid out, in burn order, with how much of each."""

    account: UUID
    reward: tuple[tuple[UUID, int], ...]
    subsidy: tuple[tuple[UUID, int], ...]
    pending_micro: int
    related_micro: int

    def sums(self, requested_micro: int) -> Earnings:
        return Earnings(
            sum(amount for _, amount in self.reward),
            sum(amount for _, amount in self.subsidy),
            self.pending_micro,
            self.related_micro,
            requested_micro,
        )

    def pick(self, amount_micro: int, subsidy_micro: int) -> list[tuple[UUID, int]]:
        """Lots that pay exactly this; InsufficientCredit when they no longer do."""
        picked: list[tuple[UUID, int]] = []
        for lots, wanted in ((self.subsidy, subsidy_micro), (self.reward, amount_micro - subsidy_micro)):
            left = wanted
            for lot, amount in lots:
                if left and amount:
                    part = min(left, amount)
                    picked.append((lot, part))
                    left -= part
            if left:
                raise InsufficientCredit(self.account, wanted - left, wanted, Asset.CREDIT)
        return picked


class Earned:
    """Reads income lots."""

    def __init__(self, clock: Clock, ledger: Ledger, related: Related) -> None:
        self._clock = clock
        self._ledger = ledger
        self._related = related

    async def of(self, org_id: UUID) -> Usable:
        account = (await self._ledger.ensure_account(org_id, Asset.CREDIT, "income")).id
        now = self._clock.now()
        reward: list[tuple[UUID, int]] = []
        subsidy: list[tuple[UUID, int]] = []
        pending = related = 0
        known: dict[UUID, bool] = {}
        async for lot in every(partial(self._ledger.lots, account, limit=LOTS_ROWS)):
            free = lot.remaining - lot.held
            if free <= 0 or lot.earmark or (lot.expires_at is not None and lot.expires_at <= now):
                continue
            if lot.spendable_at is not None and lot.spendable_at > now:
                pending += free
            elif lot.provenance is Provenance.SUBSIDY:
                part = min(free, max(0, await self._unrelated(org_id, lot, known) - (lot.issued - lot.remaining)))
                subsidy.append((lot.id, part))
                related += free - part
            elif lot.provenance is Provenance.REWARD:
                reward.append((lot.id, free))
        return Usable(account, tuple(reward), tuple(subsidy), pending, related)

    async def _unrelated(self, org_id: UUID, lot: Lot, known: dict[UUID, bool]) -> int:
        """What unrelated payers put into a lot, µ; 0 when nobody can tell."""
        first, last = _day(lot.issued_at)
        total, cursor = 0, None
        for _ in range(PAGES_MAX):
            page = await self._ledger.postings(
                account=lot.account, since=first, until=last, cursor=cursor, limit=PAGE_ROWS
            )
            for posting in page.items:
                part = sum(delta.amount for delta in posting.lots if delta.lot == lot.id and delta.amount > 0)
                payer = _payer_of(posting.evidence) if part else None
                if payer is None:
                    continue
                if payer not in known:
                    known[payer] = await self._related(org_id, payer)
                total += 0 if known[payer] else part
            cursor = page.next
            if cursor is None:
                return total
        return 0


def _payer_of(evidence: bytes | None) -> UUID | None:
    try:
        return _payer.decode(evidence or b"{}").org_id
    except msgspec.DecodeError:
        return None


def _day(instant: datetime) -> tuple[datetime, datetime]:
    start = instant.astimezone(CITY_TZ).replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(days=1)
