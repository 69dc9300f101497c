"""Gates without a network: what they need beforehand, how they check a ticket, and what they report later.

A ticket is signed, so a scanner that knows the city's key lets nobody in with a made-up one. Two scanners that are both
cut off may let the same ticket in twice; when they report, the ledger moves once, and the second learns of the double.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from shanhe.kernel.clock import city_date
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.notify import Notice, Severity
from shanhe.kernel.notify import Text as Words
from shanhe.nomads import codes, store
from shanhe.nomads.benefits import PROOF, Benefits, Keep
from shanhe.nomads.errors import BadCode, BadField, NotEligible, UsedAlready
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import Scan, Settled, Venue
from shanhe.nomads.presence import whole_weeks

SCANS_MAX: Final = 500
SCANNER_MAX_CHARS: Final = 40
SEQ_MAX: Final = 2**53
MARK_INDEX: Final = "nomad-scan"
KNOWN: Final = "known"


class Offline:
    """Synchronising is idempotent by (venue, scanner, seq): a scanner repeats its report until it is answered."""

    def __init__(self, ground: Ground, benefits: Benefits) -> None:
        self._ground = ground
        self._benefits = benefits

    async def kit(self, venue: Venue) -> dict[str, Any]:
        """What a scanner keeps: the key that signs tickets and passes, and the numbers it needs."""
        today, rulebook = self._ground.today(), self._ground.rulebook
        return {
            "venue": str(venue.id), "public_key": self._ground.city_public().hex(), "made_on": today.isoformat(),
            "report_within_days": int(rulebook.parameter(PROOF, "feed_days", today)),
        }  # fmt: skip

    async def sync(self, venue: Venue, scans: Sequence[Scan]) -> list[Settled]:
        """Settle what a scanner let in, oldest first; each line says what became of it."""
        if len(scans) > SCANS_MAX:
            raise BadField("scans", f"at most {SCANS_MAX} at a time", f"一次最多 {SCANS_MAX} 条")
        for scan in scans:
            if not 1 <= len(scan.scanner) <= SCANNER_MAX_CHARS or not 0 <= scan.seq < SEQ_MAX or scan.companions < 0:
                raise BadField("scans", "scanner, seq or companions is out of range", "扫码器、序号或人数超出范围")
        done = [await self._settle(venue, scan) for scan in sorted(scans, key=lambda item: (item.at, item.seq))]
        doubles = sum(item.outcome == "double" for item in done)
        if doubles:
            await self._ground.notifier.notify(_doubles(venue, doubles, self._ground.now()))
        return done

    async def _settle(self, venue: Venue, scan: Scan) -> Settled:
        mark = self._ground.vault.blind_index(MARK_INDEX, scan.code)
        if (known := await self._known(venue, scan, mark)) is not None:
            return known
        today = self._ground.today()
        keep_days = timedelta(days=int(self._ground.rulebook.parameter(PROOF, "keep_days", today)))

        async def keep(conn: Any, outcome: str, admitted: int) -> bool:
            return await store.insert_scan(conn, venue.id, scan.scanner, scan.seq, mark, outcome, admitted, scan.at,
                                           whole_weeks(today + keep_days))  # fmt: skip

        async def settled(conn: Any, admitted: int) -> None:
            if not await keep(conn, "settled", admitted):
                raise UsedAlready(None)

        outcome, admitted, zh, en = await self._redeemed(venue, scan, settled)
        if outcome != "settled" and not await keep(self._ground.db.writes, outcome, admitted):
            known = await self._known(venue, scan, mark)  # the same report came twice at once: it is no double
        return known or Settled(scan.scanner, scan.seq, outcome, admitted, zh, en)

    async def _known(self, venue: Venue, scan: Scan, mark: bytes) -> Settled | None:
        """What is answered to a scan that was reported before."""
        known = await store.scan(self._ground.db, venue.id, scan.scanner, scan.seq)
        if known is None:
            return None
        if known["mark"] != mark:
            return Settled(scan.scanner, scan.seq, "refused", 0, "该序号已报过其他门票",
                           "this number was reported with another ticket")  # fmt: skip
        return Settled(scan.scanner, scan.seq, KNOWN, known["admitted"], "已报过", "reported before")

    async def _redeemed(self, venue: Venue, scan: Scan, keep: Keep) -> tuple[str, int, str, str]:
        try:
            day = self._day(scan.at)
            done = await self._benefits.redeem(
                venue, scan.code, companions=scan.companions, holder_present=True, at=scan.at, on=day, keep=keep
            )
        except UsedAlready as error:
            return "double", 0, error.message_zh, error.message
        except ShanheError as error:
            return "refused", 0, error.message_zh, error.message
        return "settled", done.admitted, f"已核销，入园 {done.admitted} 人", f"redeemed, {done.admitted} admitted"

    def _day(self, at: datetime) -> date:
        """The day a scanner says it was, if that can be."""
        today, day = self._ground.today(), city_date(at)
        outputs = self._ground.rulebook.evaluate(
            PROOF, {"seen_on": day, "days_back": (today - day).days}, on=today
        ).outputs
        if not outputs["dated"]:
            raise NotEligible("bad_day", "its time is in the future or too long ago", "时间在未来或过早")
        return day


def check_offline(text: str, public_key: str, on: date, used: Mapping[str, Any]) -> codes.Ticket:
    """What a scanner decides alone: the city's signature, the dates, and whether it let this ticket in before."""
    code = codes.read(text, codes.TICKET)
    if not code.by(bytes.fromhex(public_key)):
        raise BadCode("forged", "its signature does not hold", "签名无效")
    ticket = codes.ticket_of(code)
    if not ticket.valid_from <= on <= ticket.valid_until:
        raise NotEligible("no_valid_card", "the ticket is not valid on this day", "门票今日无效")
    if str(ticket.id) in used:
        raise UsedAlready(None)
    return ticket


def _doubles(venue: Venue, count: int, at: datetime) -> Notice:
    return Notice(
        "nomad.double",
        Words(f"“{venue.name}”有 {count} 张门票被重复使用", f"{count} tickets were used twice at {venue.name}"),
        Words("离线期间同一门票在两处入园；账本只核销一次，请与场所核对。",
              "Two scanners without a network let the same ticket in; the ledger moved once. Talk to the venue."),
        Severity.WARNING, link="/city/nomads", dedupe=f"nomad-double:{venue.id}:{at.isoformat()}",
    )  # fmt: skip
